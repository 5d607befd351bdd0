"""The code of ``docs/explanation/sessions.md`` runs as it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wsgi_sessions import NotSignedInError, get_session
from wsgi_sessions_testing.bench import Bench

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "sessions.md"
[BLOCK] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("is_revoked", [False, True])
def test_a_stream_ends_with_its_session(is_revoked: bool) -> None:
    def messages_for(user_id: Any) -> Iterator[str]:
        yield "one"
        if is_revoked:
            bench.manager.revoke_all_sessions(user_id)
        yield "two"

    names: dict[str, Any] = {
        "get_session": get_session,
        "NotSignedInError": NotSignedInError,
        "messages_for": messages_for,
    }
    exec(BLOCK, names)
    with Bench(names["events"]) as bench:
        names["manager"] = bench.manager
        browser = bench.new_browser()
        assert browser.get("/").status_int == 401
        browser.sign_in("ada@example.org")
        expected = "data: one\n\n" if is_revoked else "data: one\n\ndata: two\n\n"
        assert browser.get("/").text == expected
