"""The Django example, by Django's own test client, and wrapped from outside as well."""

from __future__ import annotations

from typing import Any, cast

import pytest

django = pytest.importorskip("django")

from django import conf  # noqa: E402
from django.core.exceptions import ImproperlyConfigured  # noqa: E402

from wsgi_sessions import SessionManager, SessionMiddleware  # noqa: E402
from wsgi_sessions.adapters import django as adapter  # noqa: E402
from wsgi_sessions_testing import Browser, FakeClock  # noqa: E402

from .story import Story  # noqa: E402
from .test_flask import Said  # noqa: E402


@pytest.fixture
def project(manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example as a project of its own; Django's settings are the process's."""
    import django_app  # type: ignore[import-not-found, unused-ignore]

    if not conf.settings.configured:
        django_app.configure()
        django.setup()
    keep = {
        "ROOT_URLCONF": "django_app",
        "LOGIN_URL": "/",
        "ALLOWED_HOSTS": ["testserver", "localhost"],
        "MIDDLEWARE": [
            "wsgi_sessions.adapters.django.SessionsMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
        ],
    }
    for name, value in keep.items():
        monkeypatch.setattr(conf.settings, name, value, raising=False)
    monkeypatch.setattr(adapter, "get_manager", lambda: manager)
    return django_app


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

    def test_a_streamed_response_keeps_its_data(
        self, site: DjangoSite, manager: SessionManager
    ) -> None:
        self.sign_up(site)
        assert site.get("/stream").text == "one two"
        users = [session.data for session in manager.list_sessions(_only_user_id(manager))]
        assert [dict(data) for data in users] == [{"streamed": True}]

    def test_the_response_varies_and_is_not_shared(self, site: DjangoSite) -> None:
        self.sign_up(site)
        answer = site.client.get("/account")
        assert "Cookie" in answer.headers["Vary"]
        site.client.post("/sign-out")
        answer = site.client.post(
            "/sign-in", {"email": "ada@example.org", "password": "correct horse"}
        )
        assert "private" in answer.headers["Cache-Control"]


def _only_user_id(manager: SessionManager) -> Any:
    user = manager.store.find_user_by_email("ada@example.org")
    assert user is not None
    return user.id


def test_an_app_that_is_wrapped_outside_is_read_once(
    project: Any, manager: SessionManager, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.core.wsgi import WSGIHandler

    wrapped = SessionMiddleware(WSGIHandler(), manager)
    browser = Browser(wrapped, clock=clock, manager=manager, base_url="http://localhost")
    made = manager.sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
    browser.sign_in(made.user)
    reads: list[str] = []
    real = manager.store.find_session

    def counted(session_id: str) -> Any:
        reads.append(session_id)
        return real(session_id)

    monkeypatch.setattr(manager.store, "find_session", counted)
    answer = browser.get("/account")
    assert (answer.status_int, "Hello, Ada!" in answer.text) == (200, True)
    assert len(reads) == 1


def test_the_manager_is_made_from_the_settings(
    monkeypatch: pytest.MonkeyPatch, project: Any
) -> None:
    monkeypatch.undo()
    settings = {"DATABASE": "sqlite:///:memory:", "SECRET": "s" * 32, "EXPIRES_IN": 172_800}
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


def test_an_exception_that_is_not_ours_is_djangos(project: Any) -> None:
    middleware = adapter.SessionsMiddleware(lambda request: None)
    assert middleware.process_exception(cast("Any", None), ValueError("theirs")) is None
