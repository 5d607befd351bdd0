"""The Django example, by Django's own test client, and wrapped from outside as well."""

from __future__ import annotations

from typing import Any, cast

import pytest

django = pytest.importorskip("django")

from django import conf  # noqa: E402
from django.core.exceptions import ImproperlyConfigured  # noqa: E402
from django.urls import clear_url_caches  # noqa: E402

from wsgi_sessions import (  # noqa: E402
    NotSignedInError,
    SessionManager,
    SessionMiddleware,
    StoreUnavailableError,
)
from wsgi_sessions.adapters import django as adapter  # noqa: E402
from wsgi_sessions_testing import Browser, FakeClock  # noqa: E402

from .story import CREDENTIALS, EMAIL, Story, away  # noqa: E402
from .test_flask import Said  # noqa: E402


class DjangoSite:
    name = "Django"
    redirects_visitors = True

    def __init__(self) -> None:
        from django.test import Client

        self.client = Client(enforce_csrf_checks=False)

    def get(self, path: str) -> Said:
        return self._said(self.client.get(path))

    def post(
        self, path: str, form: dict[str, str], *, origin: str | None = "http://testserver"
    ) -> Said:
        if origin == "http://testserver":
            return self._said(self.client.post(path, form))
        # Django's own protection, which its client leaves out unless asked.
        self.client.handler.enforce_csrf_checks = True
        try:
            headers = {"HTTP_ORIGIN": origin} if origin else {}
            return self._said(self.client.post(path, form, **headers))
        finally:
            self.client.handler.enforce_csrf_checks = False

    @staticmethod
    def _said(answer: Any) -> Said:
        cookies = [
            morsel.OutputString() for name, morsel in answer.cookies.items() if name != "csrftoken"
        ]
        text = b"".join(answer) if answer.streaming else answer.content
        return Said(
            answer.status_code,
            text.decode(),
            answer.headers.get("Location"),
            cookies,
            answer.headers.get("Retry-After"),
        )


class TestDjango(Story):
    @pytest.fixture
    def site(self, project: Any) -> DjangoSite:
        return DjangoSite()

    def test_the_response_varies_and_is_not_shared(self, site: DjangoSite) -> None:
        self.sign_up(site)
        answer = site.client.get("/account")
        assert "Cookie" in answer.headers["Vary"]
        site.client.post("/sign-out")
        answer = site.client.post(
            "/sign-in", {"email": "ada@example.org", "password": "correct horse"}
        )
        assert "private" in answer.headers["Cache-Control"]


def test_an_app_that_is_wrapped_outside_is_read_once(
    project: Any, manager: SessionManager, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.core.wsgi import WSGIHandler

    wrapped = SessionMiddleware(WSGIHandler(), manager)
    browser = Browser(wrapped, clock=clock, manager=manager, base_url="http://localhost")
    made = manager.sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
    browser.sign_in(made.user)
    reads: list[str] = []
    real = manager.parts.store.sessions.find

    def counted(session_id: str) -> Any:
        reads.append(session_id)
        return real(session_id)

    monkeypatch.setattr(manager.parts.store.sessions, "find", counted)
    answer = browser.get("/account")
    assert (answer.status_int, "Hello, <bdi>Ada</bdi>!" in answer.text) == (200, True)
    assert len(reads) == 1


def test_the_manager_is_made_from_the_settings(
    monkeypatch: pytest.MonkeyPatch, project: Any
) -> None:
    monkeypatch.undo()
    settings = {
        "DATABASE": "sqlite:///:memory:",
        "SECRET": "s0123456789abcdef" * 2,
        "EXPIRES_IN": 172_800,
    }
    adapter.get_manager.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(conf.settings, "WSGI_SESSIONS", settings, raising=False)
        assert adapter.get_manager().config.expires_in_ms == 172_800_000
    adapter.get_manager.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(conf.settings, "WSGI_SESSIONS_MANAGER", "os.sep", raising=False)
        with pytest.raises(ImproperlyConfigured, match=r"os\.sep is no SessionManager"):
            adapter.get_manager()
    with pytest.raises(ImproperlyConfigured, match="set WSGI_SESSIONS ="):
        adapter.get_manager()


def test_asgi_is_told_apart(project: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="needs WSGI"):
        adapter.SessionsMiddleware(lambda _: None)(cast("Any", object()))


def test_visitors_are_sent_to_sign_in_from_secrets_and_back(project: Any) -> None:
    site = DjangoSite()
    assert site.get("/secrets").location == "/?next=%2Fsecrets"


def test_next_leads_to_this_site_alone(project: Any, manager: SessionManager) -> None:
    from django.test import RequestFactory

    seen: list[str] = []

    def view(request: Any) -> Any:
        from django.http import HttpResponse

        seen.append(adapter.next_url(request, "/home"))
        return HttpResponse("")

    middleware = adapter.SessionsMiddleware(view)
    for url in ("/account", "//evil.example", "https://evil.example", "http://testserver/x", ""):
        middleware(RequestFactory().get("/", {"next": url}))
    assert seen == ["/account", "/home", "/home", "http://testserver/x", "/home"]


def signed_in(manager: SessionManager) -> Any:
    """Return a Django client whose browser is signed in."""
    client = DjangoSite().client
    client.post("/sign-up", {"name": "Ada", **CREDENTIALS})
    return client


def request_of(client: Any, path: str = "/", **headers: str) -> Any:
    """Return a bare request with a client's cookies, as a middleware gets it."""
    from django.test import RequestFactory

    factory = RequestFactory()
    factory.cookies = client.cookies
    return factory.get(path, **headers)


def data_of(manager: SessionManager) -> dict[str, Any]:
    user = manager.parts.store.users.find_by_email(EMAIL)
    assert user is not None
    [session] = manager.list_sessions(user.id)
    return dict(session.data)


def test_a_streamed_body_changes_data_that_nobody_opened_before(
    project: Any, manager: SessionManager
) -> None:
    from django.http import StreamingHttpResponse

    def view(request: Any) -> Any:
        def chunks() -> Any:
            yield b"one "
            request.wsgi_session.data["streamed"] = True
            yield b"two"

        return StreamingHttpResponse(chunks())

    request = request_of(signed_in(manager))
    response = adapter.SessionsMiddleware(view)(request)
    assert b"".join(response) == b"one two"
    response.close()
    assert data_of(manager) == {"streamed": True}


def test_an_asynchronous_body_changes_data_too(project: Any, manager: SessionManager) -> None:
    from django.http import StreamingHttpResponse

    def view(request: Any) -> Any:
        request.wsgi_session.data["sent"] = []

        async def chunks() -> Any:
            yield b"one"
            request.wsgi_session.data["sent"].append("one")

        return StreamingHttpResponse(chunks())

    with pytest.warns(Warning, match="asynchronous iterators"):
        response = adapter.SessionsMiddleware(view)(request_of(signed_in(manager)))
    assert b"".join(response) == b"one"
    response.close()
    assert data_of(manager) == {"sent": ["one"]}


def test_a_file_is_left_to_the_server(project: Any, manager: SessionManager, tmp_path: Any) -> None:
    from django.http import FileResponse

    (tmp_path / "a.txt").write_bytes(b"text")
    given = FileResponse((tmp_path / "a.txt").open("rb"))
    response = adapter.SessionsMiddleware(lambda _: given)(request_of(signed_in(manager)))
    assert response.file_to_stream is not None
    assert b"".join(response) == b"text"
    response.close()


def test_after_the_headers_an_error_of_a_body_is_the_servers(
    project: Any, manager: SessionManager
) -> None:
    from django.http import StreamingHttpResponse

    def chunks() -> Any:
        away()
        yield b""

    response = adapter.SessionsMiddleware(lambda _: StreamingHttpResponse(chunks()))(
        request_of(signed_in(manager))
    )
    with pytest.raises(StoreUnavailableError):
        b"".join(response)


def test_a_response_that_may_not_go_out_is_closed(
    project: Any, manager: SessionManager, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from django.http import FileResponse

    (tmp_path / "a.txt").write_bytes(b"text")
    file = (tmp_path / "a.txt").open("rb")

    def view(request: Any) -> Any:
        request.wsgi_session.data["x"] = 1
        return FileResponse(file)

    request = request_of(signed_in(manager))
    monkeypatch.setattr(manager.parts.store.sessions, "merge_data", away)
    response = adapter.SessionsMiddleware(view)(request)
    assert (response.status_code, b"away" in response.content) == (503, True)
    response.close()
    assert file.closed


def test_clean_up_waits_until_the_response_is_out(
    project: Any, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.http import HttpResponse

    purged: list[bool] = []
    monkeypatch.setattr(manager.parts.purger, "rest_ms", range(0))
    monkeypatch.setattr(manager.parts.purger, "purge_if_due", lambda: purged.append(True))
    response = adapter.SessionsMiddleware(lambda _: HttpResponse(""))(
        request_of(DjangoSite().client)
    )
    assert purged == []
    response.close()
    assert purged == [True]


@pytest.mark.parametrize("path", ["/", "/api/auth/get-session"])
def test_a_host_that_is_not_allowed_is_refused_to_the_api_too(project: Any, path: str) -> None:
    assert DjangoSite().client.get(path, HTTP_HOST="evil.example").status_code == 400


@pytest.mark.parametrize(
    "headers", [{"HTTP_ACCEPT": "application/json"}, {"HTTP_X_REQUESTED_WITH": "XMLHttpRequest"}]
)
def test_a_program_is_told_rather_than_sent_to_sign_in(
    project: Any, headers: dict[str, str]
) -> None:
    answer = DjangoSite().client.get("/account", **headers)
    assert answer.status_code == 401
    assert answer.json() == {"code": "UNAUTHORIZED", "message": "Unauthorized. Sign in first."}


def test_a_program_is_told_of_a_view_that_asks_for_the_user(project: Any) -> None:
    middleware = adapter.SessionsMiddleware(lambda request: None)
    client = DjangoSite().client
    error = NotSignedInError()
    told = middleware.process_exception(request_of(client, HTTP_ACCEPT="application/json"), error)
    assert told.status_code == 401
    sent = middleware.process_exception(request_of(client, "/a?b=c"), error)
    assert (sent.status_code, sent.headers["Location"]) == (302, "/?next=%2Fa%3Fb%3Dc")


def test_without_a_page_of_the_project_refusals_have_words(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(project, "handler400")
    monkeypatch.setattr(conf.settings, "LOGIN_URL", None)
    clear_url_caches()
    answer = DjangoSite().client.post("/sign-in", CREDENTIALS)
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        401,
        "text/plain; charset=utf-8",
    )
    assert b"Invalid email or password" in answer.content
    assert DjangoSite().client.get("/account").content == b"Unauthorized. Sign in first.\n"
    clear_url_caches()


def test_guards_keep_an_asynchronous_view_asynchronous(
    project: Any, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.http import HttpResponse
    from django.urls import path

    async def view(request: Any) -> Any:
        return HttpResponse(request.wsgi_user.name)

    routes = [
        path("account", adapter.login_required(view)),
        path("secrets", adapter.fresh_login_required(view)),
        path("sign-up", project.sign_up),
    ]
    monkeypatch.setattr(project, "urlpatterns", routes)
    clear_url_caches()
    assert DjangoSite().client.get("/account").headers["Location"] == "/?next=%2Faccount"
    client = signed_in(manager)
    assert client.get("/account").content == client.get("/secrets").content == b"Ada"
    clear_url_caches()


def test_a_request_factory_says_itself_who_is_there(project: Any) -> None:
    view: Any = adapter.login_required(lambda request: request.wsgi_user)
    request = request_of(DjangoSite().client)
    with pytest.raises(ImproperlyConfigured, match="add it to MIDDLEWARE, or set"):
        view(request)
    request.wsgi_user = None
    assert view(request).status_code == 302
    request.wsgi_user = "Ada"
    assert view(request) == "Ada"


def test_an_exception_that_is_not_ours_is_djangos(project: Any) -> None:
    middleware = adapter.SessionsMiddleware(lambda request: None)
    assert middleware.process_exception(cast("Any", None), ValueError("theirs")) is None
