"""What a database keeps for all processes: one value for each name, whoever asks first."""

from __future__ import annotations

import pytest

from tests.support import in_parallel
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.models import build_models
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import FakeClock

from .databases import Place, wait_for_nodes

THREADS = 8


def test_a_name_that_nobody_wrote_is_none(store: Store) -> None:
    assert store.meta.read("key") is None


def test_the_first_value_stays_and_all_are_told_it(store: Store) -> None:
    assert store.meta.write_once("key", "first") == "first"
    assert store.meta.write_once("key", "second") == "first"
    assert store.meta.read("key") == "first"


def test_names_and_values_are_told_apart_by_case(store: Store) -> None:
    store.meta.write_once("key", "Value")
    store.meta.write_once("KEY", "VALUE")

    assert (store.meta.read("key"), store.meta.read("KEY")) == ("Value", "VALUE")


def test_all_who_write_at_once_are_told_the_same(place: Place) -> None:
    if place.kind == "sqlite-memory":
        return  # its users take turns
    place.store.create_tables()
    wait_for_nodes()
    told = in_parallel(lambda number: place.store.meta.write_once("key", str(number)), THREADS)

    assert set(told) == {place.store.meta.read("key")}


def test_a_value_is_replaced_whether_there_was_one_or_not(store: Store) -> None:
    store.meta.replace("key", "first")
    store.meta.replace("key", "second")

    assert store.meta.read("key") == "second"


def test_who_read_before_another_wrote_is_told_the_other_s(server: Place) -> None:
    app_connections = Connections(Connections(str(server.database)).database)
    ours = Store(app_connections, build_models(app_connections.database), FakeClock())
    assert server.store.meta.read("key") is None
    with app_connections.database.atomic():
        assert ours.meta.read("key") is None
        server.store.meta.write_once("key", "theirs")

        assert ours.meta.write_once("key", "ours") == "theirs"
    app_connections.database.close()


@pytest.mark.parametrize("value", ["", "x" * 512, "\N{GRINNING FACE}"])
def test_a_value_is_kept_as_it_is(store: Store, value: str) -> None:
    assert store.meta.write_once("key", value) == value
    assert store.meta.read("key") == value
