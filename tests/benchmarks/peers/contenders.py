"""Who is compared, and where its application is made."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from tests.hot_paths.paths import OTHER_COOKIES

from ..report import MissingError
from .site import EMAIL, NOBODY, Site, ask

SERVER = "server"
"""The session is kept on the server, so it can be ended there at once."""
COOKIE = "cookie"
"""The session is in the browser's signed cookie."""
FLOOR = "—"
"""No session: what any that is kept in a database costs at least."""


class Contender(NamedTuple):
    name: str
    make: str
    """The module of this folder and its function."""
    kept: str
    knows: str
    """What it yields: ``value`` is what was put into the session, ``user`` the user's row."""
    needs: str = ""
    """What pip installs."""
    is_default: bool = True
    """Whether its settings are those that it comes with."""

    @property
    def is_ours(self) -> bool:
        return self.make.startswith("ours.")

    def site(self, folder: str) -> Site:
        """Return its site, on a fresh folder, after a look whether it knows who is signed in."""
        module, function = self.make.split(".")
        try:
            site: Site = getattr(importlib.import_module(f".{module}", __package__), function)(
                folder
            )
        except ModuleNotFoundError as missing:
            raise MissingError(f"{self.name}: pip install {self.needs}") from missing
        for cookies, known in ((site.cookie, EMAIL), (OTHER_COOKIES, NOBODY)):
            if self.kept == FLOOR:
                known = EMAIL
            said = ask(site.app, cookies)[0]
            assert said == known, f"{self.name} answers {said!r}, not {known!r}"
        assert ask(site.bare, site.cookie)[0] == EMAIL
        return site


RAW_SELECT = "raw SELECT of session and user"
DATABASE, CACHED = "wsgi-sessions, database", "wsgi-sessions, cookie cache"
FLASK_COOKIE = "Flask, signed cookie"

CONTENDERS = (
    Contender(RAW_SELECT, "ours.raw_select", FLOOR, "row"),
    Contender(DATABASE, "ours.database", SERVER, "user"),
    Contender(CACHED, "ours.cookie_cache", SERVER, "user"),
    Contender("Django, db", "django_sites.db", SERVER, "user", "Django"),
    Contender("Django, cached_db", "django_sites.cached_db", SERVER, "user", "Django"),
    Contender(
        "django-user-sessions",
        "django_sites.user_sessions",
        SERVER,
        "user",
        "Django django-user-sessions",
    ),
    Contender(
        "Flask-Session, cachelib files",
        "flask_sites.cachelib",
        SERVER,
        "value",
        "Flask-Session cachelib",
    ),
    Contender(
        "Flask-Session, cachelib files, no refresh",
        "flask_sites.cachelib_without_refresh",
        SERVER,
        "value",
        "Flask-Session cachelib",
        is_default=False,
    ),
    Contender(
        "Flask-Session, SQLAlchemy",
        "flask_sites.sqlalchemy",
        SERVER,
        "value",
        "Flask-Session Flask-SQLAlchemy",
    ),
    Contender(
        "Flask-Session, SQLAlchemy, no refresh",
        "flask_sites.sqlalchemy_without_refresh",
        SERVER,
        "value",
        "Flask-Session Flask-SQLAlchemy",
        is_default=False,
    ),
    Contender(
        "Flask-Login on Flask-Session, cachelib files",
        "flask_sites.login",
        SERVER,
        "user",
        "Flask-Login Flask-Session cachelib Flask-SQLAlchemy",
    ),
    Contender(
        "Beaker, ext:database", "other_sites.beaker_database", SERVER, "value", "Beaker SQLAlchemy"
    ),
    Contender("Django, signed_cookies", "django_sites.signed_cookies", COOKIE, "user", "Django"),
    Contender("Beaker, cookie", "other_sites.beaker_cookie", COOKIE, "value", "Beaker"),
    Contender(FLASK_COOKIE, "flask_sites.signed_cookie", COOKIE, "value", "Flask"),
    Contender("Pyramid, signed cookie", "other_sites.pyramid_cookie", COOKIE, "value", "pyramid"),
    Contender(
        "Starlette, signed cookie",
        "other_sites.starlette_cookie",
        COOKIE,
        "value",
        "starlette itsdangerous",
    ),
    Contender(
        "Werkzeug with itsdangerous",
        "other_sites.itsdangerous_cookie",
        COOKIE,
        "value",
        "itsdangerous Werkzeug",
    ),
)
BY_NAME = {contender.name: contender for contender in CONTENDERS}
