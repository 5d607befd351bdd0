"""Step-ups in tests of others: the browser's, the factory's, and what the assertion finds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support import PASSWORD, Stage
from wsgi_sessions import InvalidPasswordError, Session, SessionRequest
from wsgi_sessions.sessions.step_up import StepUpSigner
from wsgi_sessions_testing import assert_step_up_keeps_session

from .apps import SOUND, check_wrapped


def test_a_browser_steps_up_with_a_password_or_without() -> None:
    with Stage(fresh_age=60) as stage:
        user = stage.bench.factories.make_user(password=PASSWORD)
        stage.browser.adopt(stage.bench.factories.make_session(user, age=60))
        assert stage.browser.session is not None and not stage.browser.session.is_fresh

        with pytest.raises(InvalidPasswordError):
            stage.browser.reauthenticate("wrong horse")
        assert not stage.browser.session.is_fresh
        for password in (None, PASSWORD):
            assert stage.browser.reauthenticate(password).is_fresh
            assert stage.browser.session.is_fresh
            stage.bench.clock.advance(seconds=60)


def test_a_session_is_made_with_what_is_known_of_its_sign_in() -> None:
    with Stage() as stage:
        made = stage.bench.factories.make_session(
            method="corp", amr=["pwd", "otp"], acr="urn:mfa", auth_time=timedelta(hours=1)
        )
        session = made.session
        assert session is not None and session.auth_time is not None
        assert (session.method, session.amr, session.acr) == ("corp", ("pwd", "otp"), "urn:mfa")
        assert session.authenticated_at - session.auth_time == timedelta(hours=1)


@pytest.mark.parametrize("settings", [*SOUND, {"fresh_elsewhere": True}])
def test_a_sound_app_passes(settings: dict[str, Any]) -> None:
    check_wrapped(assert_step_up_keeps_session, **settings)


def test_a_step_up_that_does_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionRequest, "reauthenticate", lambda handle, **_: handle.session)
    with pytest.raises(AssertionError, match="not fresh after a step-up"):
        check_wrapped(assert_step_up_keeps_session)


def test_a_step_up_for_all_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StepUpSigner, "read", lambda signer, *_, **__: [10**12 * 2])
    monkeypatch.setattr(Session, "_is_within", lambda session, _, at_ms: at_ms == 10**12 * 2)
    with pytest.raises(AssertionError, match="as old as fresh_age"):
        check_wrapped(assert_step_up_keeps_session)
