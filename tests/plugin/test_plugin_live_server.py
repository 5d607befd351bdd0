"""Claims about ``live_server``: the project's application under real gunicorn."""

from __future__ import annotations

import sys

import pytest

from tests.plugin.project import APP, BARE, WRAPPED, Project, need

pytest_plugins = ["pytester"]

LIVE = """
    import json
    from http.cookiejar import CookieJar
    from urllib.error import HTTPError
    from urllib.request import HTTPCookieProcessor, Request, build_opener

    import pytest

    @pytest.fixture
    def visit(live_server):
        opener = build_opener(HTTPCookieProcessor(CookieJar()))

        def visit(path, body=None):
            request = Request(live_server.url + path, headers={"Origin": live_server.url})
            if body is not None:
                request.data = json.dumps(body).encode()
                request.add_header("Content-Type", "application/json")
            try:
                with opener.open(request, timeout=20) as response:
                    return response.status
            except HTTPError as refusal:
                with refusal:
                    return refusal.code

        return visit

    def test_people_sign_in_over_http(visit):
        ada = {"name": "Ada", "email": "ada@example.org", "password": "correct horse"}
        assert visit("/account") == 401
        assert visit("/api/auth/sign-up/email", ada) == 200
        assert visit("/account") == 200
        assert visit("/api/auth/sign-out", {}) == 200
        assert visit("/account") == 401

    @pytest.mark.sessions(api_path=None)
    def test_the_marker_counts(visit):
        assert visit("/api/auth/sign-up/email", {}) == 200
"""


@pytest.mark.parametrize("app", [BARE, WRAPPED], ids=["bare", "wrapped"])
def test_a_live_server_is_real_gunicorn(project: Project, app: str) -> None:
    need("gunicorn")
    project.write(APP, app, tests=LIVE)
    project.run_apart().assert_outcomes(passed=2)


def test_a_live_server_is_gone_after_its_test(project: Project) -> None:
    need("gunicorn")
    project.write(
        APP,
        BARE,
        tests="""
        import socket
        from urllib.parse import urlsplit

        seen = []

        def test_during(live_server):
            seen.append(urlsplit(live_server.url).port)
            socket.create_connection(("127.0.0.1", seen[0]), timeout=20).close()

        def test_after():
            with socket.socket() as client:
                assert client.connect_ex(("127.0.0.1", seen[0])) != 0
        """,
    )
    project.run_apart().assert_outcomes(passed=2)


def test_a_live_server_says_what_to_install(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gunicorn.app.base", None)
    project.write(APP, BARE, tests="def test_it(live_server): pass")
    assert project.told() == (
        "RuntimeError: the live server is gunicorn, which is not installed; pip install gunicorn"
    )
