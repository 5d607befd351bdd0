"""What a database keeps for all processes: one value for each name, whoever asks first."""

from __future__ import annotations

import pytest

from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.models import build_models
from wsgi_sessions.storage.store import Store

from .databases import Place, in_parallel

THREADS = 8


def test_a_name_that_nobody_wrote_is_none(store: Store) -> None:
    assert store.read_meta("key") is None


def test_the_first_value_stays_and_all_are_told_it(store: Store) -> None:
    assert store.write_meta_once("key", "first") == "first"
    assert store.write_meta_once("key", "second") == "first"
    assert store.read_meta("key") == "first"


def test_names_and_values_are_told_apart_by_case(store: Store) -> None:
    store.write_meta_once("key", "Value")
    store.write_meta_once("KEY", "VALUE")

    assert (store.read_meta("key"), store.read_meta("KEY")) == ("Value", "VALUE")


def test_all_who_write_at_once_are_told_the_same(place: Place) -> None:
    if place.kind == "sqlite-memory":
        return  # its users take turns
    told = in_parallel(lambda number: place.store.write_meta_once("key", str(number)), THREADS)

    assert set(told) == {place.store.read_meta("key")}


def test_a_value_is_replaced_whether_there_was_one_or_not(store: Store) -> None:
    store.replace_meta("key", "first")
    store.replace_meta("key", "second")

    assert store.read_meta("key") == "second"


def test_who_read_before_another_wrote_is_told_the_other_s(server: Place) -> None:
    borrowed = Connections(Connections(str(server.database)).database)
    ours = Store(borrowed, build_models(borrowed.database))
    assert server.store.read_meta("key") is None
    with borrowed.database.atomic():
        assert ours.read_meta("key") is None
        server.store.write_meta_once("key", "theirs")

        assert ours.write_meta_once("key", "ours") == "theirs"
    borrowed.database.close()


@pytest.mark.parametrize("value", ["", "x" * 512, "\N{GRINNING FACE}"])
def test_a_value_is_kept_as_it_is(store: Store, value: str) -> None:
    assert store.write_meta_once("key", value) == value
    assert store.read_meta("key") == value
