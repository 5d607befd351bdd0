"""A browser in seconds, at settings that people have, is never signed out; and could be."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support import IS_FULL
from wsgi_sessions import SessionConfig
from wsgi_sessions.records import Outcome

from .random_browser import SECOND, Pace, RandomBrowser, SignedOut

# Covered by other tests: tracing would cost minutes.
pytestmark = pytest.mark.no_cover

SEEDS = 100 if IS_FULL else 16
VISITS = 1500


def config_with(**twins: int) -> SessionConfig:
    """Return settings that rotate often; durations in seconds may be what no check allows."""
    config = SessionConfig(
        secret="x0123456789abcdef" * 2, rotate_tokens=True, rotation_interval=900
    )
    for name, seconds in twins.items():
        object.__setattr__(config, f"{name}_ms", seconds * SECOND)
    return config


def browse(config: SessionConfig, pace: Pace, *, seeds: int) -> Counter[str]:
    """Have a browser go on for each seed, and tell what has happened in all of them."""
    tally: Counter[str] = Counter()
    for seed in range(seeds):
        browser = RandomBrowser(seed, config=config, pace=pace)
        browser.browse(VISITS)
        tally += browser.tally
    return tally


@pytest.mark.parametrize(
    "pace", [Pace(), Pace(round_trip=59, skew=0)], ids=["clocks apart", "slow round trips"]
)
def test_browser_is_never_signed_out(pace: Pace) -> None:
    tally = browse(config_with(), pace, seeds=SEEDS)

    print(dict(tally))
    assert tally["visits"] == SEEDS * VISITS
    accepted = set(Outcome) - {
        Outcome.UNKNOWN,
        Outcome.ENDED,
        Outcome.EXPIRED,
        Outcome.IP_MISMATCH,
        Outcome.REPLAY,
    }
    for seen in [outcome.name for outcome in accepted] + ["kills", "settled on a sibling"]:
        assert tally[seen] > 100, f"{seen}: hardly ever"
    for seen in ("writes too late", "lost writes", "failed writes", "slow answers"):
        assert tally[seen] > 20, f"{seen}: hardly ever"


@pytest.mark.parametrize(
    ("twins", "pace"),
    [
        ({"rotation_window": 60}, Pace()),
        ({"upload_grace": 0}, Pace()),
        ({}, Pace(upload=900)),
        ({}, Pace(round_trip=130)),
        ({}, Pace(skew=60)),
        ({}, Pace(flush=300)),
        ({}, Pace(sends_outdated=True)),
    ],
    ids=[
        "a window of a grace",
        "no upload_grace",
        "uploads longer than upload_grace",
        "round trips longer than two graces",
        "clocks a grace apart",
        "cookies off the disk for minutes",
        "outdated cookies sent",
    ],
)
def test_browser_is_signed_out_where_it_may_be(twins: dict[str, int], pace: Pace) -> None:
    config = config_with(**twins)

    with pytest.raises(SignedOut):
        browse(config, pace, seeds=8)
