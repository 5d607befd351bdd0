"""The package's names."""

from __future__ import annotations

import pytest

import wsgi_sessions_testing
from wsgi_sessions_testing import (
    Bench,
    Browser,
)


def test_everything_can_be_shown(bench: Bench, ada: Browser) -> None:
    shown = "at 127.0.0.1 with CookieJar(__Host-session_token, __Host-known_device)"
    assert shown in repr(ada)
    assert repr(bench.network) == "<Network with 0 responses on their way>"


def test_what_does_not_exist_is_not_in_the_package() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Browzer'"):
        _ = wsgi_sessions_testing.Browzer


@pytest.mark.parametrize("name", wsgi_sessions_testing.__all__)
def test_every_name_of_the_package_can_be_imported(name: str) -> None:
    assert getattr(wsgi_sessions_testing, name) is not None
