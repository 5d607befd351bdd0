"""Claims about whom the companion takes for a user, and what sessions it makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from wsgi_sessions import SignIn
from wsgi_sessions_testing import Bench, Browser

ADA = "ada@example.org"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(None) as bench:
        yield bench


class TestWhoSignsIn:
    """Whom ``sign_in`` and ``make_session`` take."""

    def test_an_id(self, bench: Bench) -> None:
        user = bench.factories.make_user(ADA)
        assert bench.new_browser().sign_in(user.id).user == user
        assert bench.factories.make_session(user.id).user == user

    @pytest.mark.parametrize("who", [None, True, object(), SignIn, b"ada@example.org"])
    def test_nobody_is_told_who_could_be(self, bench: Bench, who: Any) -> None:
        with pytest.raises(TypeError, match="is nobody who could sign in; give an e-mail address"):
            bench.new_browser().sign_in(who)

    def test_a_made_session_is_to_be_adopted(self, bench: Bench) -> None:
        made: Any = bench.factories.make_session()
        with pytest.raises(TypeError, match="SignIn is nobody .*; Browser.adopt takes what"):
            bench.new_browser().sign_in(made)

    @pytest.mark.parametrize("who", ["ada", 42])
    def test_an_unknown_id_is_named(self, bench: Bench, who: Any) -> None:
        with pytest.raises(LookupError, match=f"{who!r} is neither an e-mail address nor the id"):
            bench.new_browser().sign_in(who)
        with pytest.raises(LookupError, match=f"{who!r} is neither an e-mail address nor the id"):
            bench.new_browser().sign_in(who, "correct horse")


class TestWhatIsRevoked:
    """What ``revoke_session`` takes."""

    def test_a_session(self, bench: Bench, ada: Browser) -> None:
        phone = bench.new_browser()
        assert ada.revoke_session(phone.sign_in(ADA))
        assert phone.session is None

    def test_nothing_else(self, bench: Bench, ada: Browser) -> None:
        made: Any = bench.factories.make_session(ADA)
        with pytest.raises(TypeError, match="SignIn is no session; give one, or its id"):
            ada.revoke_session(made)


class TestMadeSessions:
    """What ``make_session`` refuses, before it writes anything."""

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"ended": "nonsense"}, "'nonsense' is no end reason; give one of signed_out"),
            ({"generation": -1}, "generation is -1; it counts how often"),
            ({"generation": True}, "generation is True; it counts how often"),
            ({"is_settled": False}, "generation is 0, and a session whose token was never"),
            ({"caught_up": True}, "generation is 0, and a session whose token was never"),
            (
                {"generation": 1, "age": 60, "confirmed": 61},
                r"confirmed is 61 ago and the sign-in \(age\) 60, so it would have been before",
            ),
            ({"age": 60, "refreshed": 61}, "refreshed is 61 ago and the sign-in"),
            (
                {"age": 60, "refreshed": 1, "remember_me": False},
                "a session that is not remembered never is; leave it out",
            ),
        ],
    )
    def test_nonsense_leaves_nothing_behind(
        self, bench: Bench, wrong: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(ValueError, match=said):
            bench.factories.make_session(ADA, **wrong)
        assert bench.manager.parts.store.users.find_by_email(ADA) is None

    def test_a_browser_goes_by_its_name(self, bench: Bench) -> None:
        made = bench.factories.make_session(user_agent="Safari on iPhone")
        assert made.session is not None
        assert made.session.user_agent == bench.new_browser("Safari on iPhone").user_agent
