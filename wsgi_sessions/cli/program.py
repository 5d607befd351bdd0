"""The commands as one program: by itself, or as ``flask sessions`` and ``manage.py sessions``.

A command is a module beside this one, or something in it, and one line of ``COMMANDS``. It is
imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

import click

from ..manager import SessionManager

EXTRA = "this needs the extra cli: pip install 'wsgi-sessions[cli]'"

COMMANDS = {
    "doctor": "doctor.command:doctor",
    "events": "events:events",
    "export": "personal_data:export",
    "forget": "personal_data:forget",
    "migrate": "migrate:migrate",
    "purge": "purge:purge",
    "revoke-everything": "everything:revoke_everything",
    "secret": "secret:secret",
    "sessions": "sessions:sessions",
    "simulate": "simulate:simulate",
    "stats": "stats:stats",
    "users": "users:users",
    "why": "why:why",
}
"""For each command the module in this folder, and the name of the ``click.Command`` in it."""

_MERGED = "sessions"
"""The group whose commands stand beside the others where the program itself is called so."""


class _ExtraMissing(click.ClickException):
    exit_code = 2


class Program(click.Group):
    """All commands; ``find_manager`` gets what ``--app`` says, which a framework's has not."""

    def __init__(
        self,
        name: str,
        find_manager: Callable[[str | None], SessionManager],
        *,
        takes_app: bool = False,
        around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        options = [click.Option(["--json"], is_flag=True, help="Print JSON, for programs.")]
        if takes_app:
            options.append(
                click.Option(
                    ["--app"],
                    metavar="MODULE:MANAGER",
                    help="The SessionManager, or an application wrapped in SessionMiddleware. "
                    "Else WSGI_SESSIONS_DATABASE_URL and the settings' variables count.",
                )
            )
        super().__init__(
            name,
            params=list(options),
            help="Look into sessions and users, end sessions, and look after the database.",
        )
        self._find_manager = find_manager
        self._around = around
        self._is_merged = name == _MERGED

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = set(COMMANDS)
        if self._is_merged and _MERGED in names:
            names = names - {_MERGED} | set(self._merged().commands)
        return sorted(names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if self._is_merged and _MERGED in COMMANDS:
            merged = self._merged().commands.get(cmd_name)
            if merged is not None or cmd_name == _MERGED:
                return merged
        return _load(cmd_name) if cmd_name in COMMANDS else None

    def _merged(self) -> click.Group:
        group = _load(_MERGED)
        assert isinstance(group, click.Group)
        return group

    def invoke(self, ctx: click.Context) -> Any:
        run_module, failures = _imported("run"), _imported("failures")
        output = _imported("output").Output(is_json=ctx.params["json"])
        app = ctx.params.get("app")
        run = run_module.Run(output, lambda: self._find_manager(app))
        ctx.obj = run
        ctx.params.clear()
        with failures.failures_shown(run), self._around():
            return super().invoke(ctx)


def _load(name: str) -> click.Command:
    module, _, attribute = COMMANDS[name].partition(":")
    command: click.Command = getattr(_imported(module), attribute)
    return command


def _imported(module: str) -> Any:
    try:
        return import_module(f".{module}", __package__)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "rich":
            raise
        raise _ExtraMissing(EXTRA) from None
