"""``python -m tests.seeded_faults.hunt``: runs the assertion set, then the machine.

Prints as JSON what found a fault (null if nothing did), and the CPU seconds it took; meant to be
run on a patched copy of the product. ``… hunt assertions`` runs the assertions alone, and
``… hunt machine`` the machine; any other argument is a name of the documentation's table, of
what runs before all others. It is killed after ``MAX_SECONDS`` of CPU time.
"""

from __future__ import annotations

import json
import logging
import re
import resource
import sys
import tempfile
from base64 import urlsafe_b64decode
from collections.abc import Callable, Container
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.errors import NotSignedInError, StoreUnavailableError
from wsgi_sessions_testing import (
    TEST_SECRET,
    Bench,
    SessionMachine,
    assert_bound_to_address,
    assert_cached_copy_is_bounded,
    assert_cookie_flags,
    assert_data_follows_its_owner,
    assert_doubled_cookies_do_no_harm,
    assert_ends_reach_whom_they_should,
    assert_forged_token_refused,
    assert_freshness_ends,
    assert_limit_holds,
    assert_limits_are_kept,
    assert_logout_is_final,
    assert_no_session_fixation,
    assert_not_shared_cacheable,
    assert_older_secrets_are_good,
    assert_password_change_is_final,
    assert_providers_are_held_to_their_word,
    assert_purge_is_safe,
    assert_remembered_as_asked,
    assert_reset_is_safe,
    assert_revocation_is_final,
    assert_revocation_within,
    assert_rotation_safe,
    assert_sensitive_calls_are_guarded,
    assert_session_data_is_kept,
    assert_signed_in,
    assert_step_up_keeps_session,
    assert_throttle_opens_again,
    assert_trusted_proxies_are_believed,
    settings_for_tests,
)
from wsgi_sessions_testing.bench import config_for_tests

EXAMPLES = 60
MAX_SECONDS = 90


def app(environ: Any, start_response: Any) -> list[bytes]:
    user = environ["wsgi_sessions.user"]
    start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "public")])
    return [b"nobody" if user is None else user.email.encode()]


def signed_in(
    check: Callable[[Bench, Any], None], *, address: str = "127.0.0.1", **options: Any
) -> None:
    """Check something of a browser that is signed in."""
    with Bench(app, **options) as bench:
        browser = bench.new_browser(address=address)
        browser.sign_in("ada@example.org")
        check(bench, browser)


def plain(_: Bench, browser: Any) -> None:
    browser.get("/")
    assert_signed_in(browser, as_="ada@example.org")
    assert_cookie_flags(browser)
    assert_forged_token_refused(browser)
    assert_session_data_is_kept(browser)


def personal(bench: Bench, browser: Any) -> None:
    bench.clock.advance(days=1)
    assert_not_shared_cacheable(browser.get("/"))


def revocation(bench: Bench, browser: Any) -> None:
    assert_revocation_within(browser, 1, workers=bench.workers(2))


def guarded(_: Bench, browser: Any) -> None:
    older_browser = {"Origin": "https://evil.example", "Sec-Fetch-Site": None}
    refused = browser.post_json("/api/auth/sign-out", headers=older_browser)
    assert refused.status_int == 403, "a page of another site was let through"
    policy = refused.headers["Cross-Origin-Resource-Policy"]
    assert policy == "same-origin", "another site may embed an answer"


def encrypted(_: Bench, browser: Any) -> None:
    copied = browser.cookies.get("__Host-session_data")
    assert copied, "there is no copy"
    copy = urlsafe_b64decode(copied.partition(".")[0])
    assert b"ada@example.org" not in copy, "a copy can be read"


def quiet_app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def varies() -> None:
    with Bench(quiet_app) as bench:
        assert "Cookie" in bench.new_browser().get("/").headers.getall("Vary")


def abrupt_app(environ: Any, start_response: Any) -> list[bytes]:
    """Sign in, and refuse to go on."""
    handle = environ["wsgi_sessions.request"]
    if environ["REQUEST_METHOD"] == "POST":
        handle.sign_in_email(email="ada@example.org", password="correct horse")
        raise NotSignedInError("there is more to do first")
    return quiet_app(environ, start_response)


def abrupt() -> None:
    with Bench(abrupt_app) as bench:
        bench.factories.make_user("ada@example.org", password="correct horse")
        browser = bench.new_browser()
        browser.post("/")
        assert_signed_in(browser)


def with_settings(check: Callable[[Any], None], **settings: Any) -> None:
    """Check an app whose middleware has other settings."""
    manager = SessionManager("sqlite:///:memory:", config=settings_for_tests(**settings))
    check(SessionMiddleware(app, manager))
    manager.close()


def limit(**changes: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = config_for_tests(app).replace(**changes)
        assert_limit_holds(app, folder=folder, config=config)


ASSERTIONS: dict[str, Callable[[], None]] = {
    "assert_cookie_flags and others": lambda: signed_in(plain),
    "an answer varies by Cookie": varies,
    "answers are guarded": lambda: signed_in(guarded),
    "an encrypted copy": lambda: signed_in(
        encrypted, cookie_cache={"enabled": True, "encrypt": True}
    ),
    "assert_not_shared_cacheable, signed in": lambda: signed_in(personal),
    "assert_no_session_fixation": lambda: assert_no_session_fixation(
        app, sign_in=lambda browser: browser.sign_in("victim@example.org")
    ),
    "assert_logout_is_final": lambda: signed_in(lambda _, browser: assert_logout_is_final(browser)),
    "assert_logout_is_final, cached": lambda: signed_in(
        lambda _, browser: assert_logout_is_final(browser), cookie_cache=True
    ),
    "assert_rotation_safe": lambda: signed_in(lambda _, browser: assert_rotation_safe(browser)),
    "assert_rotation_safe, cached": lambda: signed_in(
        lambda _, browser: assert_rotation_safe(browser), cookie_cache=True
    ),
    "assert_revocation_within": lambda: signed_in(revocation, cookie_cache=True),
    "assert_revocation_is_final": lambda: signed_in(
        lambda _, browser: assert_revocation_is_final(browser)
    ),
    "assert_cached_copy_is_bounded": lambda: signed_in(
        lambda _, browser: assert_cached_copy_is_bounded(browser), cookie_cache=True
    ),
    "assert_cached_copy_is_bounded, idle": lambda: signed_in(
        lambda _, browser: assert_cached_copy_is_bounded(browser),
        idle_timeout=3600,
        cookie_cache={"enabled": True, "max_age": 86400},
    ),
    "assert_cached_copy_is_bounded, unrotated": lambda: signed_in(
        lambda _, browser: assert_cached_copy_is_bounded(browser),
        rotate_tokens=False,
        cookie_cache=True,
    ),
    "assert_bound_to_address": lambda: signed_in(
        lambda _, browser: assert_bound_to_address(browser),
        ip_binding="exact",
        trusted_proxies=["192.0.2.0/24"],
    ),
    "assert_bound_to_address, a neighbour": lambda: signed_in(
        lambda _, browser: assert_bound_to_address(browser, elsewhere="127.0.0.77"),
        ip_binding="exact",
    ),
    "assert_bound_to_address, IPv6": lambda: signed_in(
        lambda _, browser: assert_bound_to_address(browser),
        address="2001:db8:1:2::3",
        ip_binding="subnet",
        cookie_cache=True,
        trusted_proxies=["192.0.2.0/24"],
    ),
    "assert_data_follows_its_owner": lambda: assert_data_follows_its_owner(app),
    "assert_remembered_as_asked": lambda: assert_remembered_as_asked(app),
    "assert_ends_reach_whom_they_should": lambda: assert_ends_reach_whom_they_should(app),
    "assert_ends_reach_whom_they_should, cached": lambda: with_settings(
        assert_ends_reach_whom_they_should, cookie_cache=True
    ),
    "assert_freshness_ends": lambda: signed_in(lambda _, browser: assert_freshness_ends(browser)),
    "assert_step_up_keeps_session": lambda: assert_step_up_keeps_session(app),
    "assert_purge_is_safe": lambda: signed_in(lambda _, browser: assert_purge_is_safe(browser)),
    "assert_purge_is_safe, cached": lambda: signed_in(
        lambda _, browser: assert_purge_is_safe(browser), cookie_cache=True, keep_ended=60
    ),
    "assert_older_secrets_are_good": lambda: assert_older_secrets_are_good(app),
    "assert_doubled_cookies_do_no_harm": lambda: with_settings(
        assert_doubled_cookies_do_no_harm, cookie={"domain": "example.org"}
    ),
    "assert_password_change_is_final": lambda: assert_password_change_is_final(app),
    "assert_reset_is_safe": lambda: assert_reset_is_safe(app),
    "assert_sensitive_calls_are_guarded": lambda: assert_sensitive_calls_are_guarded(app),
    "assert_limits_are_kept": lambda: assert_limits_are_kept(app),
    "assert_limits_are_kept, idle": lambda: with_settings(
        assert_limits_are_kept, idle_timeout=1800
    ),
    "assert_limits_are_kept, absolute": lambda: with_settings(
        assert_limits_are_kept, absolute_timeout=86400 * 10
    ),
    "assert_providers_are_held_to_their_word": lambda: assert_providers_are_held_to_their_word(app),
    "assert_throttle_opens_again": lambda: assert_throttle_opens_again(app),
    "assert_trusted_proxies_are_believed": lambda: with_settings(
        assert_trusted_proxies_are_believed, trusted_proxies=["192.0.2.0/24"]
    ),
    "assert_signed_in, after an answer that broke off": abrupt,
    "SessionMachine, siblings in each order": lambda: siblings_in_each_order(LimitedMachine),
    "assert_limit_holds": limit,
    "assert_limit_holds, rejecting": lambda: limit(multi_session={"on_limit": "reject"}),
}


class Machine(SessionMachine):
    """The machine on the app above."""

    def make_app(self) -> Any:
        """Return the app."""
        return app


class CachedMachine(Machine):
    """… with the cookie cache."""

    settings: ClassVar[dict[str, Any]] = {"cookie_cache": True}


class LimitedMachine(Machine):
    """… with every limit there is, few sessions, short ones, and a touch at every request."""

    settings: ClassVar[dict[str, Any]] = {
        "idle_timeout": 3600 * 30,
        "absolute_timeout": 86400 * 9,
        "short_expires_in": 3600 * 2,
        "touch_interval": 0,
        "multi_session": {"maximum_sessions": 2},
    }


class CachedLimitedMachine(Machine):
    """… with both, and rotations within the idle limit."""

    settings: ClassVar[dict[str, Any]] = {
        "idle_timeout": 3600,
        "rotation_interval": 1800,
        "cookie_cache": {"enabled": True, "max_age": 86400},
    }


class BoundMachine(Machine):
    """… with sessions that are bound to an address and never rotated, and proxies that are believed."""

    settings: ClassVar[dict[str, Any]] = {
        "rotate_tokens": False,
        "ip_binding": "exact",
        "trusted_proxies": ["192.0.2.0/24"],
    }


class JarMachine(Machine):
    """… with cookies of a whole domain, two secrets, networks for addresses, and short records."""

    settings: ClassVar[dict[str, Any]] = {
        "cookie": {"domain": "example.org"},
        "secret": ["for-tests-alone:the-newer-one-" * 2, TEST_SECRET],
        "ip_binding": "subnet",
        "trusted_proxies": ["192.0.2.0/24"],
        "keep_ended": 86400 * 2,
        "cookie_cache": True,
    }


def siblings_in_each_order(machine: type[Machine]) -> None:
    """Send two tokens of one generation at once, in the orders that hang on one rule alone.

    Among so many rules, a few dozen random runs seldom come to one of these.
    """
    for kind in ("confirm", "settle", "take over"):
        for order in ([0, 0, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 1]):
            run = machine()
            try:
                run.open()
                run.siblings_in_parallel(which=0, kind=kind, order=order)
            finally:
                run.teardown()


MACHINES: dict[type[Machine], str] = {
    Machine: "",
    LimitedMachine: ", with limits",
    CachedMachine: ", cached",
    CachedLimitedMachine: ", cached, with limits",
    BoundMachine: ", bound",
    JarMachine: ", with two secrets and a domain",
}
"""With what each is told apart in the table of the documentation."""
MACHINE_NAMES = {machine.__name__: f"`SessionMachine`{text}" for machine, text in MACHINES.items()}


def name_finder(found: str) -> str:
    """Return what found a fault as the table has it."""
    name, _, _ = found.partition(":")
    if name in MACHINE_NAMES:
        return MACHINE_NAMES[name]
    if name == "assert_cookie_flags and others":
        return "the assertions on a signed-in browser"
    return re.sub(r"^(assert_\w+)", r"`\1`", name)


def find_fault(examples: int = EXAMPLES, *, first: str = "") -> str | None:
    """Return the name of what failed first, and what it said, or None.

    ``first`` is what has found it before, as the table of the documentation names it.
    """
    likely = {name for name in (*ASSERTIONS, *MACHINE_NAMES) if name_finder(name) == first}
    return (
        find_by_assertion(likely)
        or find_by_machine(examples, likely)
        or find_by_assertion()
        or find_by_machine(examples)
    )


def find_by_assertion(names: Container[str] = ASSERTIONS) -> str | None:
    """Return which assertion of these failed first, and what it said, or None."""
    for name, check in ASSERTIONS.items():
        if name not in names:
            continue
        try:
            check()
        except (AssertionError, StoreUnavailableError) as error:
            # What the product itself should not raise fails a test as well.
            return f"{name}: {_first_line(error)}"
    return None


def _first_line(error: Exception) -> str:
    # A plain assert of a module that pytest has not rewritten says nothing.
    return (str(error).splitlines() or ["an assertion failed"])[0]


def run_machine(machine: type[SessionMachine], *, examples: int) -> None:
    """Run a machine, always with the same examples; raise what it finds first."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def find_by_machine(examples: int = EXAMPLES, names: Container[str] = MACHINE_NAMES) -> str | None:
    """Return which machine of these failed first, and what it said, or None.

    Each has a few examples before any has many: what is found with one set of settings alone
    does not wait for all the others.
    """
    for count in (examples // 5, examples):
        for machine in MACHINES:
            if machine.__name__ not in names:
                continue
            try:
                run_machine(machine, examples=count)
            except AssertionError as error:
                return f"{machine.__name__}: {_first_line(error)}"
    return None


if __name__ == "__main__":
    logging.disable()
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    finders: dict[str, Callable[[], str | None]] = {
        "assertions": find_by_assertion,
        "machine": find_by_machine,
    }
    argument = "".join(sys.argv[1:])
    found = finders[argument]() if argument in finders else find_fault(first=argument)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = round(used.ru_utime + used.ru_stime, 1)
    sys.stdout.write(json.dumps({"found": found, "cpu_seconds": cpu_seconds}) + "\n")
