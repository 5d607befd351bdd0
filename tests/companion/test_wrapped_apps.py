"""The middleware is found in an app that is wrapped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from wsgi_sessions import (
    SessionManager,
    SessionMiddleware,
)
from wsgi_sessions_testing import (
    TEST_SECRET,
    Bench,
    find_session_middleware,
    settings_for_tests,
)

from .apps import ADA, account_app


def test_a_wrapped_app_gets_its_own_parts_back() -> None:
    manager = SessionManager("sqlite:///:memory:", secret=TEST_SECRET, expires_in=timedelta(days=3))
    wrapped = SessionMiddleware(account_app, manager)
    config, clock, database = manager.config, manager.clock, manager.database
    with Bench(wrapped) as bench:
        assert bench.app is wrapped
        assert bench.manager is manager
        assert manager.clock is bench.clock
        assert manager.database is not database
        assert manager.config.expires_in == timedelta(days=3)
        assert manager.config.password.time_cost == 1
        bench.new_browser().sign_in(ADA)
    assert (manager.config, manager.clock, manager.database) == (config, clock, database)


@pytest.mark.parametrize("name", ["app", "wsgi_app", "application", "wrapped"])
def test_the_middleware_is_found_in_layers(name: str) -> None:
    class Layer:
        def __init__(self, inner: Any) -> None:
            setattr(self, name, inner)

        def __call__(self, environ: Any, start_response: Any) -> Any:
            raise NotImplementedError

    manager = SessionManager("sqlite:///:memory:", secret=TEST_SECRET)
    middleware = SessionMiddleware(account_app, manager)
    assert find_session_middleware(Layer(Layer(middleware))) is middleware
    assert find_session_middleware(Layer(account_app)) is None
    manager.close()


def test_a_layer_that_wraps_itself_ends_the_search() -> None:
    class Endless:
        def __call__(self, environ: Any, start_response: Any) -> Any:
            raise NotImplementedError

        @property
        def app(self) -> Endless:
            return Endless()

    assert find_session_middleware(Endless()) is None


def test_a_switch_leaves_its_part_alone() -> None:
    config = settings_for_tests(cookie_cache={"max_age": 60})
    assert not config.cookie_cache.enabled
    changed = settings_for_tests(config, cookie_cache=True)
    assert changed.cookie_cache.enabled
    assert changed.cookie_cache.max_age == timedelta(seconds=60)
