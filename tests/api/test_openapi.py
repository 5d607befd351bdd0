"""The OpenAPI document says what the API does: schemathesis asks the running server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import hypothesis
import pytest

from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.api.routes import ROUTES
from wsgi_sessions_testing import CHEAP_PASSWORDS, LiveServer, LocalIssuer

from ..refusals import error_classes
from .client import Client, make_manager

FIELDS = {"theme": "string", "zoom": "number", "isCompact": "boolean"}
PASSWORD = "correct horse"

if find_spec("schemathesis") is None:
    pytest.skip(
        "schemathesis is not installed; it comes with the extra dev", allow_module_level=True
    )

import schemathesis  # noqa: E402
from schemathesis import checks  # noqa: E402
from schemathesis.specs.openapi import checks as openapi_checks  # noqa: E402

CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.unsupported_method,
]


def plain_app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"app"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder: Path = tmp_path_factory.mktemp("openapi")
    with LocalIssuer() as issuer:
        manager = SessionManager(
            f"sqlite:///{folder / 'app.db'}",
            secret="a-secret-for-tests-of-32-characters",
            password=CHEAP_PASSWORDS,
            throttle=None,
            session_fields=FIELDS,
            social_providers=[issuer.provider("corp")],
        )
        manager.create_tables()
        manager.close()
        with LiveServer(SessionMiddleware(plain_app, manager), workers=2) as server:
            yield server


@pytest.fixture(scope="module")
def described(server: LiveServer) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/api/auth/openapi.json")


moderate = hypothesis.settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
OPERATIONS = [(path, route.method) for path, route in ROUTES.items()]


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("is_signed_in", [False, True], ids=["visitor", "user"])
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_the_server_answers_as_it_is_described(
    path: str,
    method: str,
    is_signed_in: bool,
    mode: schemathesis.GenerationMode,
    described: Any,
    server: LiveServer,
) -> None:
    operation = described[path][method]
    if mode is schemathesis.GenerationMode.NEGATIVE and not (operation.body or operation.query):
        return  # it takes nothing that could be wrong

    @moderate
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        headers = {"Origin": server.url}
        if is_signed_in:
            headers["Cookie"] = sign_up(server)
        case.call_and_validate(checks=CHECKS, headers=headers)

    run()


NUMBERS = iter(range(10**9))


def sign_up(server: LiveServer) -> str:
    body = {"name": "A", "email": f"user{next(NUMBERS)}@example.org", "password": PASSWORD}
    request = Request(
        f"{server.url}/api/auth/sign-up/email",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urlopen(request) as response:
        return str(response.headers["Set-Cookie"]).partition(";")[0]


@pytest.fixture(scope="module")
def document() -> Any:
    return Client(make_manager(session_fields=FIELDS)).get("/openapi.json").json


def test_every_route_is_in_the_document(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "/api/auth"}]
    assert set(document["paths"]) == set(ROUTES)
    for path, route in ROUTES.items():
        assert set(document["paths"][path]) == {route.method.lower()}


def test_operations_are_named_for_clients(document: Any) -> None:
    operations = [one for path in document["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name) for name in names)
    assert {"signUpEmail", "getSession", "revokeOtherSessions", "getOpenApi"} <= set(names)
    assert all(re.fullmatch(r"[A-Z].*[^.]", one["summary"]) for one in operations)


def test_a_mounted_app_is_called_where_it_is() -> None:
    answer = Client(make_manager()).send("GET", "/openapi.json", SCRIPT_NAME="/my shop")
    assert answer.json["servers"] == [{"url": "/my%20shop/api/auth"}]


def test_every_code_is_in_the_document_or_of_the_middleware_alone(document: Any) -> None:
    statuses = {kind.code: kind.status for kind in error_classes()}
    said = {
        code
        for operations in document["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if int(status) >= 400
        for code in answer["content"]["application/json"]["schema"]["allOf"][1]["properties"][
            "code"
        ]["enum"]
        if statuses[code] == int(status)
    }
    elsewhere = {"NOT_FOUND", "METHOD_NOT_ALLOWED", "FORM_OUTDATED", "INTERNAL_SERVER_ERROR"}
    # Of the calls that providers make, in their own format.
    elsewhere.add("INVALID_LOGOUT_TOKEN")
    assert said == set(statuses) - elsewhere


def test_additional_fields_are_described(document: Any) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Session"]["properties"]["theme"] == {"type": ["string", "null"]}
    assert set(schemas["UpdateSession"]["properties"]) == set(FIELDS)


def test_what_is_left_out_of_a_body_is_described(document: Any) -> None:
    schemas = document["components"]["schemas"]
    for name, flag in (
        *[("SignUpEmail", "rememberMe"), ("SignInEmail", "rememberMe")],
        ("ChangePassword", "revokeOtherSessions"),
    ):
        assert schemas[name]["properties"][flag]["default"] is True


def test_the_document_is_of_this_configuration() -> None:
    manager = make_manager(password={"min_length": 12, "time_cost": 1, "memory_cost_kib": 32})
    document = Client(manager).get("/openapi.json").json
    taken = document["components"]["schemas"]["SignUpEmail"]["properties"]["password"]
    assert taken["minLength"] == 12
    assert document["components"]["securitySchemes"]["session"]["name"] == "session_token"
