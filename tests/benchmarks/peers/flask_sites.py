"""Flask: its own signed cookie, and Flask-Session, by itself and below Flask-Login."""

from __future__ import annotations

import warnings
from typing import Any

from flask import Flask, session

from tests.hot_paths.counting import Application

from .site import EMAIL, NOBODY, SECRET, SIGN_IN, Site, sign_in


def signed_cookie(folder: str) -> Site:
    return _site_of(_flask())


def cachelib(folder: str, **settings: Any) -> Site:
    return _site_of(_with_cachelib(folder, **settings))


def cachelib_without_refresh(folder: str) -> Site:
    return cachelib(folder, SESSION_REFRESH_EACH_REQUEST=False)


def sqlalchemy(folder: str, **settings: Any) -> Site:
    from flask_session import Session
    from flask_sqlalchemy import SQLAlchemy

    flask = _flask(
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/flask.db",
        SESSION_TYPE="sqlalchemy",
        **settings,
    )
    flask.config["SESSION_SQLALCHEMY"] = SQLAlchemy(flask)
    Session(flask)
    with flask.app_context():
        flask.config["SESSION_SQLALCHEMY"].create_all()
    return _site_of(flask)


def sqlalchemy_without_refresh(folder: str) -> Site:
    return sqlalchemy(folder, SESSION_REFRESH_EACH_REQUEST=False)


def login(folder: str) -> Site:
    """Flask-Login, which reads the user by SQLAlchemy, as its documentation shows."""
    from flask_login import LoginManager, UserMixin, current_user, login_user
    from flask_sqlalchemy import SQLAlchemy

    flask = _with_cachelib(folder, SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/login.db")
    database = SQLAlchemy(flask)

    class User(UserMixin, database.Model):  # type: ignore[name-defined]
        id = database.Column(database.Integer, primary_key=True)
        email = database.Column(database.String, unique=True)
        name = database.Column(database.String)

    logins = LoginManager(flask)
    logins.user_loader(lambda user_id: database.session.get(User, int(user_id)))
    with flask.app_context():
        database.create_all()
        database.session.add(User(email=EMAIL, name="Ada"))
        database.session.commit()

    def who() -> str:
        return current_user.email if current_user.is_authenticated else NOBODY

    def enter() -> str:
        login_user(database.session.scalars(database.select(User)).one())
        return "welcome"

    flask.add_url_rule("/", view_func=who)
    flask.add_url_rule(SIGN_IN, view_func=enter)
    return Site(flask, _bare(), sign_in(flask))


def _with_cachelib(folder: str, **settings: Any) -> Flask:
    from cachelib.file import FileSystemCache
    from flask_session import Session

    flask = _flask(
        SESSION_TYPE="cachelib",
        SESSION_CACHELIB=FileSystemCache(f"{folder}/sessions", threshold=0),
        **settings,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        Session(flask)
    return flask


def _flask(**settings: Any) -> Flask:
    flask = Flask("peer")
    flask.config.update(SECRET_KEY=SECRET, **settings)
    return flask


def _bare() -> Flask:
    bare = Flask("bare")
    bare.add_url_rule("/", view_func=lambda: EMAIL, endpoint="who")
    return bare


def _site_of(flask: Flask) -> Site:
    def who() -> str:
        return session.get("user", NOBODY)

    def enter() -> str:
        session["user"] = EMAIL
        return "welcome"

    flask.add_url_rule("/", view_func=who)
    flask.add_url_rule(SIGN_IN, view_func=enter)
    app: Application = flask
    return Site(app, _bare(), sign_in(app))
