"""``manage.py sessions …``: the command line, with the manager of the Django project.

Django finds it where ``INSTALLED_APPS`` has ``"wsgi_sessions"``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ...adapters.django import get_manager


class Command(BaseCommand):
    """Hands everything on: the options are those of the command line, not Django's."""

    help = "Look into sessions and users, end sessions, and look after the database."
    requires_system_checks: Sequence[str] = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Run what was typed; Django has read these two options already."""
        program, command, *arguments = argv
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        parser.add_argument("--settings")
        parser.add_argument("--pythonpath")
        _, arguments = parser.parse_known_args(arguments)
        self._program().main(arguments, prog_name=f"{program.rpartition('/')[2]} {command}")

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take what ``call_command("sessions", "users", "list")`` gives."""
        parser.add_argument("arguments", nargs=argparse.REMAINDER)

    def handle(self, *_args: Any, arguments: Sequence[str] = (), **_options: Any) -> None:
        """Run it; raise ``CommandError`` where the command line would say what is wrong."""
        import click

        try:
            self._program().main(arguments, prog_name="sessions", standalone_mode=False)
        except click.ClickException as failure:
            raise CommandError(failure.format_message(), returncode=failure.exit_code) from failure

    def _program(self) -> Any:
        try:
            from ...cli.program import Program
        except ModuleNotFoundError as error:
            raise CommandError(
                "this needs the extra cli: pip install 'wsgi-sessions[cli]'"
            ) from error
        return Program("sessions", lambda _app: get_manager())
