"""Writes the pages of ``docs/reference`` that are generated, from the code they describe.

Run it after a change of what they describe: ``python docs/write_reference.py``. A test fails until
then. The pages on Python names need no script: mkdocstrings reads them when the site is built.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import write_settings

import wsgi_sessions
from wsgi_sessions import SessionConfig, errors, request_errors
from wsgi_sessions.api.openapi import describe
from wsgi_sessions.api.routes import ROUTES, Route
from wsgi_sessions.errors import AnswerableError, RefusedError
from wsgi_sessions.events import EVENT_KINDS, NOTED_EVENTS, TOLD_EVENTS
from wsgi_sessions.log_fields import LOG_FIELDS, LOG_LINES
from wsgi_sessions.monitoring.catalog import METRICS, SECONDS, prometheus_name
from wsgi_sessions.transport.environ import ENVIRON_KEYS

FOLDER = Path(__file__).parent / "reference"
ERRORS: dict[str, type[errors.WsgiSessionsError]] = {
    name: found
    for name, found in sorted({**vars(errors), **vars(request_errors)}.items())
    if isinstance(found, type) and issubclass(found, errors.WsgiSessionsError)
}
WRITTEN = "<!-- Written by docs/write_reference.py from {}. -->\n\n"


def whole(thing: Any) -> str:
    """Return a docstring as one line."""
    return " ".join(inspect.cleandoc(thing.__doc__).split())


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines += [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# Environ keys

ENVIRON_INTRO = """\
# Environ keys

What `SessionMiddleware` puts into the WSGI environ of each request, and the function of `wsgi_sessions` that reads it. The functions take an environ, or a request object of WebOb, Werkzeug, Django, Pyramid, Bottle or Falcon.

"""
ENVIRON_OUTRO = """
[`Session`](python.md#wsgi_sessions.Session), [`User`](python.md#wsgi_sessions.User) and [`SessionRequest`](python.md#wsgi_sessions.SessionRequest) are described with the Python API, and [why a session ends](../explanation/sessions.md#why-a-session-ends) with its rules.

On a path of `exempt_paths`, and where no middleware has seen the request, none of the keys is there, and each function raises a `LookupError` that says so. Where an application is wrapped by the middlewares of two managers, it finds the keys of the inner one.
"""


def environ_page() -> str:
    rows = []
    for key, meaning in ENVIRON_KEYS.items():
        function = getattr(wsgi_sessions, f"get_{key.rpartition('.')[2]}")
        holds = inspect.signature(function).return_annotation
        kinds = " or ".join(f"`{kind}`" for kind in holds.split(" | "))
        rows.append([f"`{key}`", kinds, f"`{function.__name__}()`", meaning])
    head = ("key", "holds", "read by", "meaning")
    source = WRITTEN.format("wsgi_sessions/transport/environ.py")
    return source + ENVIRON_INTRO + table(head, rows) + ENVIRON_OUTRO


# Errors

ERRORS_INTRO = """\
# Errors

Every error on this page is a `WsgiSessionsError`. Import the classes from `wsgi_sessions`. A wrong call raises Python's own errors, too: `LookupError` for an unknown user id or an environ without a session, `TypeError` and `ValueError` for a wrong argument.

## Answered to clients

An `AnswerableError` that your application lets through becomes the answer of the request, with the same code, status and message in a plain WSGI application, in the JSON API, on the sessions page and in every framework adapter. All but `StoreUnavailableError` are a `RefusedError`, so one `except RefusedError` is enough for a form. A client that asks for JSON gets `{"code": "…", "message": "…"}`, any other client a line of text, or the framework's own error page. `str(error)` is the message, so a form can show it; that of `StoreUnavailableError` alone is for the log.

A name in braces stands for a value, such as the length that is asked for. Each class has one message, wherever it is raised; but a `SessionNotFreshError` with `is_elsewhere` says "Session is used from another place. Confirm that it is you."

"""
ERRORS_OWN = """
A refusal of your own is a subclass with a `code`, a `message`, and a `status` where 400 is not right. Without a `message` clients read what it is raised with:

```python
from wsgi_sessions import RefusedError


class CartIsEmptyError(RefusedError):
    code = "CART_IS_EMPTY"
    status = 409
    message = "Your cart is empty. Put something into it first."
```

## Raised by the JSON API and the sessions page alone

Clients get these answers. An application meets only two of them: `check_form_origin` of `wsgi_sessions.adapters` raises `InvalidOriginError` and `MissingOriginError`.

"""
ERRORS_OTHERS = """
## Not answered

These are mistakes in the program or its settings. They pass through the middleware, and the server answers 500.

"""


def errors_page() -> str:
    answered: list[list[str]] = []
    of_the_api: list[list[str]] = []
    others: list[list[str]] = []
    for name, error in ERRORS.items():
        if issubclass(error, AnswerableError):
            if error not in (AnswerableError, RefusedError):
                rows = answered if name in wsgi_sessions.__all__ else of_the_api
                rows.append(answerable_row(error))
        elif error is not errors.WsgiSessionsError:
            others.append([f"`{name}`", whole(error)])
    head = ("class", "code", "status", "`Retry-After`", "message", "meaning")
    return "".join(
        (
            WRITTEN.format("wsgi_sessions/errors.py and request_errors.py"),
            ERRORS_INTRO,
            table(head, answered),
            ERRORS_OWN,
            table(head, of_the_api),
            ERRORS_OTHERS,
            table(("class", "meaning"), others),
        )
    )


def answerable_row(error: type[AnswerableError]) -> list[str]:
    wait = "" if error.retry_after_seconds is None else f"{error.retry_after_seconds} s"
    if "retry_after_seconds" in inspect.get_annotations(error):
        wait = "what is left to wait"
    return [
        f"`{error.__name__}`",
        f"`{error.code}`",
        str(error.status),
        wait,
        error.message,
        whole(error),
    ]


# Events

EVENTS_INTRO = """\
# Events

What `manager.events.subscribe(listener)` tells a listener, and what the logger `wsgi_sessions` writes: [how to listen](../how-to/events.md). No event carries a token, a secret, a password or an e-mail address.

Each event has a `name` and the instant `at`. The column *fields* says what else it may have: `session_id`, `user_id`, `address`, `user_agent` and `reason` (of an end: [why a session ends](../explanation/sessions.md#why-a-session-ends)) are attributes, None where nothing is known. All other names are those of `details`, a mapping that leaves out what is not known.

The column *kept* says what [the setting `audit`](../how-to/events.md#keep-events) makes of it: it is kept *with* the transaction that it tells, or *beside* the request, so many a minute, or not at all.

"""

LOG_INTRO = """
## Log records

Everything is written by the one logger `wsgi_sessions`. Each of its records has these attributes beside its text, which `logging` calls `extra`; a formatter that writes JSON makes fields of them: [Log as JSON](../how-to/events.md#log-as-json). Their names begin so that they are none of `logging`'s own, nor of your filters'.

"""
LINES_INTRO = """
In a text, and in the record's own message, no value begins another line: control characters are written as their escapes, as in `\\n`. The one exception is a traceback.

## Other lines of the log

These are no events: no listener is told.

"""


def events_page() -> str:
    rows = (
        [
            f"`{name}`",
            logging.getLevelName(kind.level),
            ", ".join(f"`{field}`" for field in kind.fields.split()),
            "with" if name in TOLD_EVENTS else "beside" if name in NOTED_EVENTS else "no",
            kind.doc,
        ]
        for name, kind in EVENT_KINDS.items()
    )
    fields = ([f"`{name}`", meaning] for name, meaning in LOG_FIELDS.items())
    lines = (
        [f"`{name}`", logging.getLevelName(line.level), line.doc]
        for name, line in LOG_LINES.items()
    )
    return "".join(
        (
            WRITTEN.format("wsgi_sessions/events.py and log_fields.py"),
            EVENTS_INTRO,
            table(("name", "logged at", "fields", "kept", "meaning"), rows),
            LOG_INTRO,
            table(("attribute", "holds"), fields),
            LINES_INTRO,
            table(("event", "logged at", "meaning"), lines),
        )
    )


# Metrics

METRICS_INTRO = """\
# Metrics

What `PrometheusMetrics` and `OpenTelemetryMetrics` export: [how to set them up](../how-to/monitoring.md#metrics). The names are Prometheus'; OpenTelemetry has `wsgi_sessions.sign_ins` for `wsgi_sessions_sign_ins_total`, and its exporter for Prometheus makes that name of it.

No label holds a user, a session, an address or other text of a client. A label that the names of your program fill (`method`, `code`) has at most 40 values; whatever comes after them is `other`.

"""


def metrics_page() -> str:
    rows = []
    for name, metric in METRICS.items():
        labels = "<br>".join(f"`{label}`: {holds}" for label, holds in metric.labels.items())
        unit = "seconds" if metric.unit == SECONDS else metric.unit.strip("{}").replace("_", "-")
        rows.append([f"`{prometheus_name(name)}`", metric.kind, unit, labels, metric.doc])
    source = WRITTEN.format("wsgi_sessions/monitoring/catalog.py")
    return source + METRICS_INTRO + table(("metric", "kind", "unit", "labels", "meaning"), rows)


# JSON API

API_INTRO = """\
# JSON API

Under `/api/auth` (the setting `api_path`), in the wire format of Better Auth's client, so the npm package `better-auth` works with it. The server describes the API itself as OpenAPI 3.1 at `GET /openapi.json`, for your settings; this page is that document for the defaults.

* A request body is JSON: `Content-Type: application/json`, at most 64 KiB.
* A request that changes something must come from the site's own origin or one of `trusted_origins`, if it brings a cookie or names an origin at all. Browsers name it by themselves; other programs send the header `Origin`.
* A refusal is `{"code": "…", "message": "…"}`; a program decides by the code. [Errors](errors.md) says what each means.
* Instants are text in UTC, such as `2030-01-01T12:00:00.000Z`.
* Who brings the cookie of a session that is over reads [why](../explanation/sessions.md#why-a-session-ends) in the header `X-Session-End-Reason` of the answer, beside the `null` of `get-session` too, and as `endReason` in a 401. A token that this server has not signed tells nothing.
"""
API_COMMON = """\
* Every call but `/ok` and `/openapi.json` may answer {every}, and every POST also {every_post}. What else a call may answer stands below.
* `POST /backchannel-logout/{{provider}}` is for the servers of providers, and not in the document: see [Social sign-in](../how-to/social.md#when-the-provider-ends-a-session).
"""


def json_api_page() -> str:
    config = SessionConfig(secret="-0123456789abcdef" * 2)
    document = describe(ROUTES, config, mount_path="", cookie_name="session_token")
    schemas = document["components"]["schemas"]
    every_post = common_codes(document, [r for r in ROUTES.values() if r.method == "POST"])
    every = common_codes(document, [r for r in ROUTES.values() if r.needs_database])
    parts = [
        WRITTEN.format("the OpenAPI document"),
        API_INTRO,
        API_COMMON.format(every=named(every), every_post=named(every_post - every)),
        "\n## Calls\n",
    ]
    for path, route in ROUTES.items():
        operation = document["paths"][path][route.method.lower()]
        own = codes_of(operation) - every - (every_post if route.method == "POST" else set())
        parts.append(call(path, route, operation, schemas, own))
    parts.append("\n## Objects\n")
    parts += [f"\n### {name}\n\n{fields(schemas[name], schemas)}" for name in ("User", "Session")]
    return "".join(parts)


def common_codes(document: dict[str, Any], routes: Iterable[Route]) -> set[tuple[int, str]]:
    paths = {id(route): path for path, route in ROUTES.items()}
    return set.intersection(
        *(codes_of(document["paths"][paths[id(r)]][r.method.lower()]) for r in routes)
    )


def codes_of(operation: Mapping[str, Any]) -> set[tuple[int, str]]:
    """Return what a call may refuse: statuses with codes."""
    found: set[tuple[int, str]] = set()
    for status, answer in operation["responses"].items():
        schema = answer["content"]["application/json"]["schema"]
        for part in schema.get("allOf", ()):
            codes = part.get("properties", {}).get("code", {}).get("enum", ())
            found |= {(int(status), code) for code in codes}
    return found


def named(refusals: Iterable[tuple[int, str]]) -> str:
    return ", ".join(f"{status} `{code}`" for status, code in sorted(refusals))


def call(
    path: str,
    route: Route,
    operation: Mapping[str, Any],
    schemas: dict[str, Any],
    own: set[tuple[int, str]],
) -> str:
    parts = [f"\n### {route.method} {path}\n\n{operation['summary']}.\n"]
    parameters = operation.get("parameters", ())
    if parameters:
        rows = (
            [f"`{one['name']}`", type_of(one["schema"], schemas), one["description"]]
            for one in parameters
        )
        parts.append("\n" + table(("query", "type", "meaning"), rows))
    if route.takes is not None and schemas[route.takes].get("properties"):
        parts.append("\n" + fields(schemas[route.takes], schemas))
    if route.takes == "UpdateSession":
        parts.append("\nTakes any of the fields that the setting `session_fields` declares.\n")
    parts.append(f"\nAnswers {shape(schemas[route.gives], schemas)}.\n")
    if own:
        parts.append(f"\nRefuses with {named(own)}.\n")
    return "".join(parts)


def fields(schema: Mapping[str, Any], schemas: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = []
    for name, kind in schema["properties"].items():
        rows.append(
            [
                f"`{name}`" if name in required else f"`{name}` (optional)",
                type_of(kind, schemas),
                kind.get("description", schema.get("description", "")),
            ]
        )
    return table(("field", "type", "meaning"), rows)


def type_of(schema: Mapping[str, Any], schemas: dict[str, Any]) -> str:
    if "properties" in schema or "$ref" in schema:
        return shape(schema, schemas)
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    said = " or ".join(kinds)
    if "default" in schema:
        said += f", {json.dumps(schema['default'])} unless given"
    least, most = schema.get("minLength"), schema.get("maxLength")
    if least is not None:
        said += f", {least} to {most} characters"
    elif most is not None:
        said += f", at most {most} characters"
    return f"{said}, {schema['format']}" if "format" in schema else said


def shape(schema: Mapping[str, Any], schemas: dict[str, Any]) -> str:
    """Return an object in one line: ``{token, user}``."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "oneOf" in schema:
        return " or ".join(shape(one, schemas) for one in schema["oneOf"])
    if schema.get("type") == "array":
        return f"a list of {shape(schema['items'], schemas)}"
    if schema.get("type") == "null":
        return "`null`"
    if "properties" not in schema:
        return "an object"
    required = set(schema.get("required", ()))
    inside = ", ".join(
        name + ("" if name in required else "?") + (": true" if "const" in kind else "")
        for name, kind in schema["properties"].items()
    )
    links = sorted(
        {shape(kind, schemas) for kind in schema["properties"].values() if "$ref" in kind}
    )
    return f"`{{{inside}}}`" + (f" ({', '.join(links)})" if links else "")


PAGES: Mapping[str, Callable[[], str]] = {
    "environ.md": environ_page,
    "errors.md": errors_page,
    "events.md": events_page,
    "json-api.md": json_api_page,
    "metrics.md": metrics_page,
    "settings.md": write_settings.render,
}

if __name__ == "__main__":
    for page, render in PAGES.items():
        (FOLDER / page).write_text(render(), encoding="utf-8")
