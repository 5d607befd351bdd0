"""How a user signed in: what the session, its user and the event say of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.support import PASSWORD, Stage, sign_up
from wsgi_sessions_testing import LocalIssuer
from wsgi_sessions_testing.browser.user_agents import find_user_agent


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


def test_a_password_a_provider_and_the_apps_own_word_are_told_apart(stage: Stage) -> None:
    made = stage.do(sign_up)
    assert (made.session.method, made.user.amr, made.user.acr) == ("password", (), None)

    made = stage.do(lambda it: it.sign_in_email(email="ada@example.org", password=PASSWORD))
    assert made.session.method == "password"

    session = stage.do(
        lambda it: it.sign_in(made.user.id, method="passkey", amr=["hwk", "user"])
    ).session
    assert (session.method, session.amr) == ("passkey", ("hwk", "user"))

    session = stage.do(lambda it: it.sign_in(made.user.id)).session
    assert (session.method, session.amr, session.acr, session.auth_time) == (None, (), None, None)


def test_what_a_provider_tells_is_there_in_every_later_request() -> None:
    with LocalIssuer() as issuer, Stage(social_providers=[issuer.provider("corp")]) as stage:
        issuer.clock = stage.bench.clock
        an_hour_ago = stage.bench.clock.now_ms() // 1000 - 3600
        token = issuer.id_token(
            "ada", email="ada@example.org", amr=["pwd", "otp"], acr="urn:mfa", auth_time=an_hour_ago
        )
        stage.do(lambda it: it.sign_in_social(provider="corp", id_token=token))

        session = stage.do(lambda it: it.session)

        when = datetime.fromtimestamp(an_hour_ago, timezone.utc)
        assert session.method == "corp"
        for told in (session, session.user):
            assert (told.amr, told.acr, told.auth_time) == (("pwd", "otp"), "urn:mfa", when)
        assert session.authenticated_at - when >= timedelta(hours=1)


@pytest.mark.parametrize(
    ("method", "amr"),
    [
        ("", ()),
        ("x" * 65, ()),
        ("pässkey", ()),
        ("a\nb", ()),
        (5, ()),
        (None, ["x" * 33]),
        (None, "pwd"),
        (None, ["pwd"] * 9),
        (None, [None, ""]),
    ],
)
def test_a_method_that_is_no_name_is_refused(stage: Stage, method: Any, amr: Any) -> None:
    user = stage.bench.factories.make_user()

    with pytest.raises(ValueError, match="amr|no name of a method"):
        stage.bench.manager.sign_in(user.id, method=method, amr=amr)

    assert stage.bench.manager.list_sessions(user.id) == []


def test_the_event_of_a_sign_in_names_method_and_device(stage: Stage) -> None:
    stage.browser.user_agent = find_user_agent("Firefox on Linux")
    stage.do(sign_up)

    (event,) = [event for event in stage.bench.events if event.name == "session_created"]

    assert event.details == {"method": "password", "device": "Firefox on Linux"}
