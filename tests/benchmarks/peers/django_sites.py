"""Django: ``request.user`` with its session engines, and with django-user-sessions."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .site import EMAIL, NOBODY, SECRET, SIGN_IN, Site, sign_in

SESSIONS = "django.contrib.sessions"


def db(folder: str) -> Site:
    return _site_of(folder, engine=f"{SESSIONS}.backends.db")


def cached_db(folder: str) -> Site:
    return _site_of(folder, engine=f"{SESSIONS}.backends.cached_db")


def signed_cookies(folder: str) -> Site:
    return _site_of(folder, engine=f"{SESSIONS}.backends.signed_cookies")


def user_sessions(folder: str) -> Site:
    return _site_of(folder, engine="user_sessions.backends.db", application="user_sessions")


def _site_of(folder: str, *, engine: str, application: str = SESSIONS) -> Site:
    import django
    from django.conf import settings
    from django.contrib.auth import get_user_model, login
    from django.core.handlers.wsgi import WSGIHandler
    from django.core.management import call_command
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    def who(request: HttpRequest) -> HttpResponse:
        # The bare site has no middleware, so there is no user.
        user = getattr(request, "user", None)
        name = EMAIL if user is None else user.email if user.is_authenticated else NOBODY
        # As other frameworks do by themselves: uWSGI would leave the end of the body open.
        return HttpResponse(name, headers={"Content-Length": str(len(name))})

    def enter(request: HttpRequest) -> HttpResponse:
        user = get_user_model().objects.get()
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        return HttpResponse("welcome")

    urls: Any = ModuleType("urls_of_the_peer")
    urls.urlpatterns = [path("", who), path(SIGN_IN[1:], enter)]
    settings.configure(
        ALLOWED_HOSTS=["*"],
        # A connection of each worker stays open, as in production.
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": f"{folder}/django.db",
                "CONN_MAX_AGE": None,
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", application],
        MIDDLEWARE=[],
        ROOT_URLCONF=urls,
        SECRET_KEY=SECRET,
        SESSION_ENGINE=engine,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    get_user_model().objects.create_user("ada", EMAIL)
    bare = WSGIHandler()
    settings.MIDDLEWARE = [
        f"{application}.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    app = WSGIHandler()
    return Site(app, bare, sign_in(app))
