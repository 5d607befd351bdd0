"""This project: sessions read from SQLite, and from the cookie cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.hot_paths.counting import Environ
from tests.hot_paths.paths import FACTS, OTHER_COOKIES
from wsgi_sessions import SessionManager, SessionMiddleware

from .site import EMAIL, NOBODY, SECRET, Site, answer, ask, bare_app


def app(environ: Environ, start_response: Any) -> list[bytes]:
    user = environ["wsgi_sessions.user"]
    return answer(environ, start_response, NOBODY if user is None else user.email)


@dataclass(frozen=True)
class OurSite(Site):
    manager: SessionManager
    session_id: str

    def select_sql(self) -> str:
        """Return the SELECT that a request sends: the session by its id, joined to its user."""
        sql: str = self.manager.parts.store.sessions._find.sql
        return sql


def database(folder: str) -> OurSite:
    return site_of(f"sqlite:///{folder}/ours.db")


def cookie_cache(folder: str) -> OurSite:
    return site_of(f"sqlite:///{folder}/ours.db", cookie_cache=True)


def site_of(url: str, **settings: Any) -> OurSite:
    """Return the site of one user on any database."""
    manager = SessionManager(url, secret=SECRET, **settings)
    wrapped = SessionMiddleware(app, manager)
    # Several workers serve one database.
    user = manager.find_user(email=EMAIL) or manager.create_user(name="Ada", email=EMAIL)
    made = manager.sign_in(user.id, facts=FACTS)
    assert made.session is not None
    # The first answer brings the cached copy, if there is one.
    _, cookies = ask(wrapped, f"{OTHER_COOKIES}; __Host-session_token={made.token}")
    return OurSite(wrapped, bare_app, cookies, manager, made.session.id)


def raw_select(folder: str) -> Site:
    """Return an "application" that reads the row of the session by the driver alone."""
    site = database(folder)
    # The driver's own connection, with the settings that ours have.
    connection: Any = site.manager.database
    connection, sql, key = connection._connect(), site.select_sql(), (site.session_id,)
    columns = [column[0] for column in connection.execute(sql, key).description]
    email = columns.index("email")

    def select(environ: Environ, start_response: Any) -> list[bytes]:
        row = connection.execute(sql, key).fetchone()
        return answer(environ, start_response, row[email])

    return Site(select, bare_app, site.cookie)
