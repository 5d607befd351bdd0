"""The code of ``docs/how-to/step-up.md`` runs, and its answer is the one that is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import PASSWORD, Stage
from wsgi_sessions import NotSignedInError
from wsgi_sessions_testing import Bench

from .pages import blocks_of, python_of

PAGE = "docs/how-to/step-up.md"
APPLICATION, SECOND_FACTOR = python_of(PAGE)
[REFUSAL] = (json.loads(block.text) for block in blocks_of(PAGE, "json"))


def test_the_key_is_shown_after_the_password() -> None:
    names: dict[str, Any] = {}
    exec(APPLICATION, names)
    with Bench(names["application"]) as bench:
        user = bench.factories.make_user("ada@example.org", password=PASSWORD)
        browser = bench.new_browser()
        browser.sign_in(user)
        bench.clock.advance(minutes=10)

        refused = browser.get("/key", headers={"Accept": "application/json"})
        assert (refused.status_int, refused.json) == (403, REFUSAL)
        asked = browser.get("/key")
        assert (asked.status_int, asked.headers["Location"]) == (303, "/confirm")
        assert "<form" in browser.get("/confirm").text
        assert browser.post("/confirm", {"password": "wrong horse"}).status_int == 400
        assert browser.get("/key").status_int == 303
        assert browser.post("/confirm", {"password": PASSWORD}).headers["Location"] == "/key"
        assert browser.get("/key").text == "The key is …"


@pytest.mark.parametrize(
    ("given", "is_enough"),
    [
        ({"method": "passkey"}, True),
        ({"method": "corp", "amr": ["pwd", "otp"]}, True),
        ({"method": "password", "amr": ["pwd"]}, False),
        ({}, False),
    ],
)
def test_a_second_factor_can_be_asked_for(given: dict[str, Any], is_enough: bool) -> None:
    names: dict[str, Any] = {"NotSignedInError": NotSignedInError}
    exec(SECOND_FACTOR, names)
    with Stage() as stage:
        user = stage.bench.factories.make_user("ada@example.org")
        session = stage.bench.manager.sign_in(user.id, **given).session

        if is_enough:
            names["require_second_factor"](session)
        else:
            with pytest.raises(NotSignedInError):
                names["require_second_factor"](session)
