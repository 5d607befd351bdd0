"""A bench and a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wsgi_sessions_testing import (
    Bench,
    Browser,
    FakeClock,
)

from .apps import account_app, echo_app


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(account_app) as bench:
        yield bench


@pytest.fixture
def echo() -> Browser:
    return Browser(echo_app, clock=FakeClock())
