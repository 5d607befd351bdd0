"""``doctor``: what is wrong with settings, database and deployment, and what to do about it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from ...errors import ConfigurationError
from ..failures import Exit
from ..output import Line, Part
from ..run import Run, takes_run
from ..text import counted
from .examination import Examination
from .findings import Finding, Level, fault
from .requests import check_request, parse_request
from .workers import WORKER_CLASSES, Deployment, deployment_from

_MEANINGS = {Level.OK: "good", Level.WARNING: "warning", Level.FAULT: "bad"}


@click.command
@click.option("--workers", type=click.IntRange(1, 100_000), help="How many processes serve.")
@click.option("--threads", type=click.IntRange(1, 100_000), help="How many threads each has.")
@click.option("--worker-class", type=click.Choice(WORKER_CLASSES), help="What kind they are.")
@click.option(
    "--request",
    metavar="REQUEST",
    help="A request as the server is asked for it: 'GET https://example.org/'.",
)
@click.option("--header", multiple=True, metavar="'NAME: VALUE'", help="A header of that request.")
@click.option("--peer", metavar="ADDRESS", help="What connects to the server; 127.0.0.1, or unix.")
@click.option("--read-only", is_flag=True, help="Do not remember when a secret was first seen.")
@takes_run
def doctor(run: Run, request: str | None, header: tuple[str, ...], **options: Any) -> None:
    """Look for what is wrong: settings, database, clock, workers, and the cookie of a request.

    Exit code 0 without a fault, and 1 with one. What is not said of the workers is read from
    WEB_CONCURRENCY and GUNICORN_CMD_ARGS, as gunicorn does.
    """
    if request is None and (header or options["peer"] is not None):
        raise click.UsageError("--header and --peer are of a request; give --request, too")
    deployment = _deployment(options)
    environ = None if request is None else parse_request(request, header, peer=options["peer"])
    try:
        manager = run.unchecked_manager
    except ConfigurationError as error:
        what, _, remedy = str(error).partition("; ")
        findings = [fault("settings", what, remedy or "mend this setting")]
    else:
        examination = Examination(
            manager,
            environ=os.environ,
            deployment=deployment,
            may_write=not options["read_only"],
        )
        findings = list(examination.findings())
        if environ is not None:
            findings += check_request(environ, manager.config, manager.parts.cookies)
    _show(run, findings)
    if any(finding.level is Level.FAULT for finding in findings):
        click.get_current_context().exit(int(Exit.FAULT))


def _deployment(options: dict[str, Any]) -> Deployment:
    found = deployment_from(os.environ)
    said = {name: options[name] for name in ("workers", "threads", "worker_class")}
    return found._replace(**{name: value for name, value in said.items() if value is not None})


def _show(run: Run, findings: list[Finding]) -> None:
    counts = Counter(finding.level for finding in findings)
    document = {
        "findings": [finding.as_json() for finding in findings],
        "faults": counts[Level.FAULT],
        "warnings": counts[Level.WARNING],
    }
    summary = (
        f"{counted(counts[Level.FAULT], 'fault')}, {counted(counts[Level.WARNING], 'warning')}"
    )
    run.output.show(document, *_lines(findings), Line(""), Line(summary))


def _lines(findings: list[Finding]) -> Iterator[Part]:
    for finding in findings:
        yield Line(
            f"{finding.level.value:<7}  {finding.subject}: {finding.what}",
            _MEANINGS[finding.level],
        )
        if finding.remedy:
            yield Line(f"{'':<7}  → {finding.remedy}")
