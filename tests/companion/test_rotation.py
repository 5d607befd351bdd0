"""Claims about ``assert_rotation_safe``: which broken rules it finds, and what it says then."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from wsgi_sessions.records import Decision, Offer, Outcome, PresentedToken, SessionRecord
from wsgi_sessions.sessions import policy, validation
from wsgi_sessions.wsgi import response_cookies
from wsgi_sessions_testing import Bench, assert_rotation_safe, assert_signed_in, assert_signed_out
from wsgi_sessions_testing.assertions import thieves
from wsgi_sessions_testing.assertions.rotation_scenario import RotationScenario
from wsgi_sessions_testing.assertions.steps import start_anonymous

from .apps import ADA, page_app

OLD_SECRETS = ("the-newest-secret-of-all-" * 2, "the-older-secret-of-the-app-" * 2)


def claim_safe(**settings: Any) -> None:
    with Bench(page_app, **settings) as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        assert_rotation_safe(browser)


def claim_thieves_are_out(**settings: Any) -> None:
    with Bench(page_app, **settings) as bench:
        browser = bench.new_browser()
        thieves.check_thieves(RotationScenario(browser, browser.sign_in(ADA)))


# Broken rules

Recognise = Callable[..., Outcome]
Break = Callable[[pytest.MonkeyPatch], None]

recognise: Recognise = policy._recognise
accept = policy._accept


def otherwise(change: Callable[[Outcome, SessionRecord, PresentedToken, Any], Outcome]) -> Break:
    """Have a token be recognised as something else than it is."""

    def broken(record: SessionRecord, token: PresentedToken, **known: Any) -> Outcome:
        return change(recognise(record, token, **known), record, token, known)

    return lambda patch: patch.setattr(policy, "_recognise", broken)


def instead_of(wrong: Outcome, of: Outcome, *, sibling: bool | None = None) -> Break:
    def change(found: Outcome, record: SessionRecord, token: PresentedToken, _: Any) -> Outcome:
        is_sibling = token.generation == record.generation
        if found is of and sibling in (None, is_sibling):
            return wrong
        return found

    return otherwise(change)


def own_token_does_not_settle(patch: pytest.MonkeyPatch) -> None:
    def change(found: Outcome, record: SessionRecord, token: PresentedToken, _: Any) -> Outcome:
        is_own = token.branch == record.branch
        return Outcome.CURRENT if found is Outcome.SETTLE and is_own else found

    otherwise(change)(patch)


def siblings_do_not_settle(patch: pytest.MonkeyPatch) -> None:
    def change(found: Outcome, record: SessionRecord, token: PresentedToken, _: Any) -> Outcome:
        is_own = token.branch == record.branch
        return Outcome.REPLAY if found is Outcome.SETTLE and not is_own else found

    otherwise(change)(patch)


def long_bodies_settle(patch: pytest.MonkeyPatch) -> None:
    def broken(record: SessionRecord, token: PresentedToken, **known: Any) -> Outcome:
        is_of_generation = token.generation == record.generation
        known["has_long_body"] = known["has_long_body"] and not is_of_generation
        return recognise(record, token, **known)

    patch.setattr(policy, "_recognise", broken)


def catch_ups_have_no_bound(patch: pytest.MonkeyPatch) -> None:
    def broken(record: SessionRecord, token: PresentedToken, **known: Any) -> Outcome:
        return recognise(record._replace(caught_up=False), token, **known)

    patch.setattr(policy, "_recognise", broken)


def all_offers_have_one_branch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        response_cookies,
        "new_branch",
        lambda *, is_catch_up: "_AAAAAAA" if is_catch_up else "AAAAAAAA",
    )


def catch_ups_are_not_marked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PresentedToken, "is_catch_up", property(lambda _: False))


def slow_answers_bring_their_cookies(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        response_cookies.ResponseCookies, "_good_until_ms", lambda _, at_ms: at_ms + 10**12
    )


def what_was_not_written_is_offered(patch: pytest.MonkeyPatch) -> None:
    def broken(decision: Any) -> bool:
        return decision.outcome is Outcome.SETTLE and decision.offer is None

    patch.setattr(validation, "_settles", broken)


def decided(change: Callable[[Any, SessionRecord, PresentedToken, Outcome], Any]) -> Break:
    """Have what is decided of an accepted token be something else."""

    def broken(record: SessionRecord, token: PresentedToken, **known: Any) -> Any:
        return change(accept(record, token, **known), record, token, known["outcome"])

    return lambda patch: patch.setattr(policy, "_accept", broken)


def _offered_unsettled(
    decision: Any, record: SessionRecord, token: PresentedToken, outcome: Outcome
) -> Any:
    if outcome is Outcome.CURRENT and not record.is_settled and not token.is_signed_by_newest:
        return decision._replace(offer=Offer(token.generation, token.branch))
    return decision


def _without_offer(decision: Any, _: SessionRecord, __: PresentedToken, outcome: Outcome) -> Any:
    return decision._replace(offer=None) if outcome is Outcome.CATCH_UP else decision


def _offered_in_grace(
    decision: Any, record: SessionRecord, _: PresentedToken, outcome: Outcome
) -> Any:
    if outcome is Outcome.GRACE:
        return decision._replace(offer=Offer(record.generation, record.branch))
    return decision


def _taken_over_from_before(
    decision: Any, record: SessionRecord, _: PresentedToken, outcome: Outcome
) -> Any:
    if outcome is not Outcome.TAKE_OVER:
        return decision
    return decision._replace(
        change=decision.change._replace(confirmed_at_ms=record.confirmed_at_ms)
    )


def _without_touch(decision: Any, _: SessionRecord, __: PresentedToken, outcome: Outcome) -> Any:
    is_passed = outcome in (Outcome.GRACE, Outcome.LATE)
    return decision._replace(change=None) if is_passed else decision


def replays_are_only_refused(patch: pytest.MonkeyPatch) -> None:
    over = policy._over

    def broken(outcome: Outcome, reason: Any) -> Any:
        if outcome is Outcome.REPLAY:
            return Decision(outcome, is_accepted=False)
        return over(outcome, reason)

    patch.setattr(policy, "_over", broken)


def at_another_time(ahead_ms: int) -> Break:
    """Have it be a little later, or earlier, to whoever recognises a token."""

    def install(patch: pytest.MonkeyPatch) -> None:
        def broken(record: SessionRecord, token: PresentedToken, **known: Any) -> Outcome:
            known["now_ms"] += ahead_ms
            return recognise(record, token, **known)

        patch.setattr(policy, "_recognise", broken)

    return install


def with_window_of(graces: float) -> Break:
    def install(patch: pytest.MonkeyPatch) -> None:
        def broken(record: SessionRecord, token: PresentedToken, **known: Any) -> Outcome:
            config = known["config"]
            window_ms = round(graces * config.rotation_grace_ms)
            with pytest.MonkeyPatch.context() as bent:
                bent.setattr(type(config), "__setattr__", object.__setattr__)
                bent.setattr(config, "rotation_window_ms", window_ms)
                return recognise(record, token, **known)

        patch.setattr(policy, "_recognise", broken)

    return install


def late_for_ever(
    found: Outcome, record: SessionRecord, token: PresentedToken, known: Any
) -> Outcome:
    is_older = token.generation == record.generation - 1
    return (
        Outcome.LATE if found is Outcome.REPLAY and known["has_long_body"] and is_older else found
    )


def late_siblings_for_ever(
    found: Outcome, record: SessionRecord, token: PresentedToken, known: Any
) -> Outcome:
    is_sibling = token.generation == record.generation
    is_late = found is Outcome.REPLAY and known["has_long_body"] and is_sibling
    return Outcome.LATE if is_late else found


def two_behind_in_grace(
    found: Outcome, record: SessionRecord, token: PresentedToken, known: Any
) -> Outcome:
    is_older = token.generation == record.generation - 2
    is_in_grace = known["now_ms"] - record.confirmed_at_ms < known["config"].rotation_grace_ms
    return Outcome.GRACE if is_older and is_in_grace else found


def two_behind_late(
    found: Outcome, record: SessionRecord, token: PresentedToken, known: Any
) -> Outcome:
    is_older = token.generation == record.generation - 2
    return Outcome.LATE if is_older and known["has_long_body"] else found


def _knowing_by_generation(is_meant: Callable[[SessionRecord, Any], bool]) -> Break:
    def install(patch: pytest.MonkeyPatch) -> None:
        def broken(record: SessionRecord, token: PresentedToken, **known: Any) -> Outcome:
            if is_meant(record, known):
                record = record._replace(branch_before=None)
            return recognise(record, token, **known)

        patch.setattr(policy, "_recognise", broken)

    return install


def _is_in_grace(record: SessionRecord, known: Any) -> bool:
    since_ms: int = known["now_ms"] - record.confirmed_at_ms
    grace_ms: int = known["config"].rotation_grace_ms
    return since_ms < grace_ms


before_known_by_generation = _knowing_by_generation(_is_in_grace)
before_known_by_generation_after_grace = _knowing_by_generation(
    lambda record, known: not _is_in_grace(record, known) and not known["has_long_body"]
)
before_known_by_generation_late = _knowing_by_generation(
    lambda record, known: not _is_in_grace(record, known) and known["has_long_body"]
)


def copies_of_what_is_not_settled(patch: pytest.MonkeyPatch) -> None:
    post = response_cookies.ResponseCookies.add_validated

    def broken(self: Any, found: Any, presented: Any) -> None:
        post(self, found._replace(may_be_copied=found.session is not None), presented)

    patch.setattr(response_cookies.ResponseCookies, "add_validated", broken)


def copies_outlive_the_rotation(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        response_cookies,
        "cached_copy_end_ms",
        lambda _, *, now_ms, config: now_ms + config.cookie_cache.max_age_ms,
    )


OUT_BY_PARALLEL = "a browser with two parallel answers was signed out"
OUT_BY_CRASH = "a browser that crashed after a rotation was signed out"
OUT_BY_OLD_CRASH = "a browser that crashed after the second of two answers was signed out"
OUT_BY_UPLOAD = "an upload that took less than upload_grace was signed out, with"
THIEF_IS_IN = "a thief is let in after the browser has asked, after the window"

BROKEN: dict[str, tuple[Break, str]] = {
    "no grace": (
        instead_of(Outcome.REPLAY, Outcome.GRACE, sibling=False),
        "a request under way while the token was confirmed was signed out",
    ),
    "no grace for siblings": (
        instead_of(Outcome.REPLAY, Outcome.GRACE, sibling=True),
        OUT_BY_PARALLEL,
    ),
    "the token before is good for ever": (
        instead_of(Outcome.GRACE, Outcome.REPLAY),
        "a stolen token is still taken after the window",
    ),
    "siblings are good for ever": (
        instead_of(Outcome.GRACE, Outcome.REPLAY, sibling=True),
        THIEF_IS_IN,
    ),
    "a cookie in grace": (
        decided(_offered_in_grace),
        "a request in grace was given a cookie, or a copy, for its old token",
    ),
    "no catch-up": (instead_of(Outcome.REPLAY, Outcome.CATCH_UP), OUT_BY_CRASH),
    "a catch-up is offered nothing": (decided(_without_offer), "the token is still that of"),
    "a catch-up is not marked": (catch_ups_are_not_marked, OUT_BY_CRASH),
    "any number of catch-ups": (
        catch_ups_have_no_bound,
        "the token was not rotated when it was due again after a rotation",
    ),
    "a take-over begins no window": (decided(_taken_over_from_before), OUT_BY_CRASH),
    "the own token does not settle": (
        own_token_does_not_settle,
        "a stolen token is still taken after the window",
    ),
    "siblings do not settle": (siblings_do_not_settle, OUT_BY_PARALLEL),
    "one branch for all offers": (all_offers_have_one_branch, THIEF_IS_IN),
    "late bodies are refused": (
        instead_of(Outcome.REPLAY, Outcome.LATE, sibling=False),
        OUT_BY_UPLOAD,
    ),
    "late siblings are refused": (
        instead_of(Outcome.REPLAY, Outcome.LATE, sibling=True),
        OUT_BY_UPLOAD,
    ),
    "long bodies settle": (
        long_bodies_settle,
        "an upload with an old token was given a cookie",
    ),
    "slow answers bring their cookies": (
        slow_answers_bring_their_cookies,
        "a browser was signed out by a slow answer",
    ),
    "what was not written down is offered": (
        what_was_not_written_is_offered,
        "a cookie was given out while nothing was settled",
    ),
    "a window of two graces": (with_window_of(2), OUT_BY_OLD_CRASH),
    "a window of one grace": (with_window_of(1), "a cookie repeats a token in its window"),
    "a window of four graces": (with_window_of(4), "a stolen token is still taken"),
    "everything ends a moment late": (at_another_time(-1), "a stolen token is still taken"),
    "replays are only refused": (replays_are_only_refused, "the browser is still signed in"),
}

THIEVES: dict[str, tuple[Break, str]] = {
    "siblings are good for ever": (
        instead_of(Outcome.GRACE, Outcome.REPLAY, sibling=True),
        THIEF_IS_IN,
    ),
    "the token before is good for ever": (
        instead_of(Outcome.GRACE, Outcome.REPLAY, sibling=False),
        THIEF_IS_IN,
    ),
    "the own token does not settle": (own_token_does_not_settle, THIEF_IS_IN),
    "one branch for all offers": (all_offers_have_one_branch, THIEF_IS_IN),
    "any number of catch-ups": (catch_ups_have_no_bound, THIEF_IS_IN),
    "no catch-up": (
        instead_of(Outcome.REPLAY, Outcome.CATCH_UP),
        "the browser was signed out while a thief asked, who had not asked after the window",
    ),
    "no grace": (
        instead_of(Outcome.REPLAY, Outcome.GRACE, sibling=False),
        "the browser was signed out while a thief asked, who had not asked after the window",
    ),
    "everything ends a moment late": (at_another_time(-1), THIEF_IS_IN),
    "everything ends a moment early": (
        at_another_time(1),
        "the browser was signed out while a thief asked, who had not asked after the window",
    ),
    "a window of four graces": (with_window_of(4), THIEF_IS_IN),
    "a window of two graces": (
        with_window_of(2),
        "the browser was signed out while a thief asked, who had not asked after the window",
    ),
    "long bodies bring the token before for ever": (
        otherwise(late_for_ever),
        "a stolen token is taken: that of a sibling that lost the one before",
    ),
    "long bodies bring siblings for ever": (
        otherwise(late_siblings_for_ever),
        "a thief with a long body is let in after upload_grace",
    ),
    "two generations before in grace": (
        otherwise(two_behind_in_grace),
        "a stolen token is taken: that of two rotations before",
    ),
    "two generations before with a long body": (
        otherwise(two_behind_late),
        "a stolen token is taken: that of two rotations before",
    ),
    "siblings that lost the rotation before": (
        before_known_by_generation,
        "a stolen token is taken: that of a sibling that lost the one before",
    ),
    "siblings that lost the rotation before, after the grace": (
        before_known_by_generation_after_grace,
        "a stolen token is taken: that of a sibling that lost the one before",
    ),
    "siblings that lost the rotation before, with a long body": (
        before_known_by_generation_late,
        "a stolen token is taken: that of a sibling that lost the one before",
    ),
    "replays are only refused": (replays_are_only_refused, "the browser is still signed in"),
}


@pytest.mark.parametrize(("broken", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_is_found(broken: Break, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch)
    with pytest.raises(AssertionError) as failure:
        claim_safe()

    assert said in str(failure.value).splitlines()[0]


@pytest.mark.parametrize(("broken", "said"), THIEVES.values(), ids=THIEVES)
def test_a_thief_who_is_let_in_too_long_is_found(
    broken: Break, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    with pytest.raises(AssertionError) as failure:
        claim_thieves_are_out()

    assert said in str(failure.value).splitlines()[0]


WITH_SETTINGS: dict[str, tuple[Break, dict[str, Any], str]] = {
    "copies of what is not settled": (
        copies_of_what_is_not_settled,
        {"cookie_cache": True},
        "a request in grace was given a cookie, or a copy, for its old token",
    ),
    "copies outlive the rotation": (
        copies_outlive_the_rotation,
        {"cookie_cache": True},
        "no token was rotated though it was due",
    ),
    "a token is sent again before it is settled": (
        decided(_offered_unsettled),
        {"secret": OLD_SECRETS},
        "a token was sent again before it was settled",
    ),
    "siblings do not touch": (decided(_without_touch), {"idle_timeout": 60}, OUT_BY_PARALLEL),
}


@pytest.mark.parametrize(("broken", "settings", "said"), WITH_SETTINGS.values(), ids=WITH_SETTINGS)
def test_a_broken_rule_is_found_where_it_matters(
    broken: Break, settings: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    with pytest.raises(AssertionError) as failure:
        claim_safe(**settings)

    assert said in str(failure.value).splitlines()[0]


def test_thieves_are_found_with_their_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    copies_of_what_is_not_settled(monkeypatch)
    with pytest.raises(AssertionError, match=THIEF_IS_IN):
        claim_thieves_are_out(cookie_cache=True)


def test_a_thief_who_puts_the_end_off_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    catch_ups_have_no_bound(monkeypatch)
    with Bench(page_app) as bench:
        browser = bench.new_browser()
        stage = RotationScenario(browser, browser.sign_in(ADA))
        with pytest.raises(AssertionError, match=THIEF_IS_IN):
            thieves._check_repeated_catch_ups(stage)


def test_a_failure_tells_the_story_of_its_play_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    own_token_does_not_settle(monkeypatch)
    with pytest.raises(AssertionError) as failure:
        claim_thieves_are_out()

    _, begun, first, *rest = str(failure.value).splitlines()
    assert begun == (
        "2030-01-01T12:00:00.000+00:00 a thief asks whenever the owner does: first to confirm is "
        "the owner, first after the window the owner; a session is begun whose token is due for "
        "rotation now"
    )
    assert re.match(
        r"2030-01-01T12:00:00\.000\+00:00 look -> 200 OK; sent __Host-session_token="
        r"v1\.[\w-]{4}…\.0\.[\w-]{4}…\.…; set __Host-session_token=v1\.[\w-]{4}…\.1\.",
        first,
    )
    assert any(" the thief: look -> 200 OK; sent __Host-session_token" in line for line in rest)
    assert len(rest) < 20
    assert not re.search(r"v1\.[\w-]{32}", str(failure.value))


def test_a_failure_of_the_own_session_tells_what_led_there(monkeypatch: pytest.MonkeyPatch) -> None:
    instead_of(Outcome.REPLAY, Outcome.GRACE, sibling=False)(monkeypatch)
    with pytest.raises(AssertionError, match="sign in -> 200 OK; set __Host-session_token=v1"):
        claim_safe()


class TestAfterwards:
    """What the assertion leaves behind."""

    def test_the_browser_is_signed_out_and_nothing_lives_on(self) -> None:
        with Bench(page_app) as bench:
            browser = bench.new_browser()
            user_id = browser.sign_in(ADA).user_id
            assert_rotation_safe(browser)
            assert_signed_out(browser, reason="replayed")
            assert bench.manager.list_sessions(user_id) == []
            assert not bench.network.held
            browser.sign_in(ADA)
            assert_signed_in(browser)

    def test_it_takes_few_requests_of_the_app_itself(self) -> None:
        asked: list[str] = []

        def counting(environ: Any, start_response: Any) -> list[bytes]:
            asked.append(environ["PATH_INFO"])
            return page_app(environ, start_response)

        with Bench(counting) as bench:
            browser = bench.new_browser()
            browser.sign_in(ADA)
            assert_rotation_safe(browser, page="/account")
        assert set(asked) == {"/account"}
        assert len(asked) < 10

    def test_a_visitors_session_is_judged_too(self) -> None:
        with Bench(page_app) as bench:
            browser = bench.new_browser()
            browser._with_handle("begin", start_anonymous)
            assert_rotation_safe(browser)
            assert_signed_out(browser, reason="replayed")


def test_with_reject_a_thief_may_stay_and_yet_not_both_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Bench(page_app, on_replay="reject") as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        assert_rotation_safe(browser, thief_may_stay=True)

    all_offers_have_one_branch(monkeypatch)
    with Bench(page_app, on_replay="reject") as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        with pytest.raises(AssertionError, match=THIEF_IS_IN):
            assert_rotation_safe(browser, thief_may_stay=True)
