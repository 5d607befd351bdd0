"""What the npm client's ``getSession`` costs the database, with the cookie cache and without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .service import Node, Service, serving
from .test_better_auth_client import Device

A_DAY = 86_400
# One worker, and nothing that is done at times: its cost would fall on some request or other.
QUIET: dict[str, Any] = {"workers": 1, "purge_interval": A_DAY, "touch_interval": A_DAY}


@contextmanager
def signed_in(folder: Path, **settings: Any) -> Iterator[tuple[Device, Service]]:
    """A device that is signed in and has asked once, so that all is in place."""
    with serving(folder, **QUIET, **settings) as service:
        node = Node(service.url)
        laptop = Device(node, "laptop")
        laptop.sign_up()
        assert laptop.find_session() is not None
        yield laptop, service
        node.close()


def test_without_the_cache_it_is_one_select(tmp_path: Path) -> None:
    with signed_in(tmp_path) as (laptop, service):
        for _ in range(3):
            sent = service.statements_of(laptop.find_session)
            assert len(sent) == 1, sent
            assert sent[0].startswith("SELECT") and "session" in sent[0]


def test_with_the_cache_it_is_none(tmp_path: Path) -> None:
    # A lag longer than the test: within it a process reads the feed of revocations once.
    with signed_in(tmp_path, cookie_cache=True, revocation_lag=200) as (laptop, service):
        found: list[Any] = []
        for _ in range(3):
            assert service.statements_of(lambda: found.append(laptop.find_session())) == []
        assert None not in found


def test_with_the_cache_a_lag_costs_one_reading_of_the_feed(tmp_path: Path) -> None:
    with signed_in(tmp_path, cookie_cache=True, revocation_lag=100) as (laptop, service):
        service.advance(101)
        sent = service.statements_of(lambda: [laptop.find_session() for _ in range(3)])
        assert len(sent) == 1, sent
        assert sent[0].startswith("SELECT") and "revocation" in sent[0]


def test_past_the_cache_it_is_one_select(tmp_path: Path) -> None:
    with signed_in(tmp_path, cookie_cache=True) as (laptop, service):
        body = {"query": {"disableCookieCache": True}}
        sent = service.statements_of(lambda: laptop.do("getSession", body))
        assert len(sent) == 1, sent
        assert sent[0].startswith("SELECT") and "revocation" not in sent[0]
