"""Seeded randomness: the same ids and tokens again, and real ones afterwards."""

from __future__ import annotations

import secrets

import pytest

from wsgi_sessions.sessions import tokens
from wsgi_sessions_testing import SeededRandomness


def test_one_seed_draws_the_same_each_time() -> None:
    with SeededRandomness(seed=7):
        first = (tokens.mint_secret(), tokens.new_id(), tokens.new_secret())
    with SeededRandomness(seed=7):
        assert (tokens.mint_secret(), tokens.new_id(), tokens.new_secret()) == first


def test_other_seeds_draw_something_else() -> None:
    with SeededRandomness(seed=1):
        first = tokens.mint_secret()
    with SeededRandomness(seed=2):
        assert tokens.mint_secret() != first


def test_what_is_drawn_has_its_usual_shape() -> None:
    with SeededRandomness():
        assert len(tokens.mint_secret()) == 24
        assert len(tokens.new_id()) == 24
        assert len(tokens.new_secret()) == 43


def test_real_randomness_is_back_after_the_block() -> None:
    with SeededRandomness(), SeededRandomness(seed=2):
        pass
    assert vars(tokens)["secrets"] is secrets


def test_real_randomness_is_back_after_a_failure() -> None:
    with pytest.raises(ZeroDivisionError), SeededRandomness():
        _ = 1 // 0
    assert vars(tokens)["secrets"] is secrets
