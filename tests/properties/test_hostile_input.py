"""Thousands of hostile requests through the whole stack: no 5xx, no session, no row, no secret.

Ten thousand with ``CI_FULL=1``, and three thousand without.
"""

from __future__ import annotations

import io
import json
import logging
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import IS_FULL
from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.sessions.cookie_cache import CookieCache
from wsgi_sessions.sessions.tokens import TokenSigner, mint_secret, new_branch
from wsgi_sessions_testing import FakeClock

# Run millions of times here, and covered by other tests: tracing would cost minutes.
pytestmark = pytest.mark.no_cover

SECRET = "the server's own secret, not shown"
PASSWORD = {"time_cost": 1, "memory_cost_kib": 8, "parallelism": 1}
EXAMPLES = 3500 if IS_FULL else 1000
MANY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Victim:
    """A stack with one signed-in user, and what a hostile client sees of it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.manager = SessionManager(
            "sqlite:///:memory:",
            secret=SECRET,
            clock=self.clock,
            password=PASSWORD,
            throttle=None,
            cookie_cache={"enabled": True},
            trusted_proxies=["192.0.2.0/24"],
        )
        made = self.manager.sign_up_email(
            name="Ada", email="ada@example.org", password="correct horse"
        )
        assert made.session is not None and made.token is not None
        self.token = made.token
        self.session_id = made.session.id
        self.seen_session: Any = None
        self.app = SessionMiddleware(self._look, self.manager)
        found = self.manager.parts.store.sessions.find(self.session_id)
        assert found is not None
        reading = self.manager.parts.feed.current()
        assert reading is not None
        self.database_secret = reading.database_secret
        self.copy = self.manager.parts.cache.seal(
            *found,
            database_secret=self.database_secret,
            token_text=self.token,
            issued_at_ms=self.clock.now_ms(),
            ends_at_ms=self.clock.now_ms() + 300_000,
        )
        self.rows = self.count_rows()

    def _look(self, environ: Any, start_response: Any) -> list[bytes]:
        self.seen_session = environ["wsgi_sessions.session"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"page"]

    def count_rows(self) -> dict[str, int]:
        """Return how many rows each table of the database has, whatever it is for."""
        database: Any = self.manager.database
        return {
            name: database.execute_sql(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0]
            for name in database.get_tables()
        }

    def ask(self, **changes: Any) -> tuple[int, list[tuple[str, str]], bytes]:
        body = changes.pop("body", b"")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/",
            "QUERY_STRING": "",
            "SERVER_NAME": "app.example.org",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "app.example.org",
            "REMOTE_ADDR": "192.0.2.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            **changes,
        }
        answer: list[Any] = []

        def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
            answer.extend([int(status[:3]), headers])

        self.seen_session = None
        chunks = self.app(environ, start_response)
        text = b"".join(chunks)
        return answer[0], answer[1], text

    def assert_is_unharmed(
        self, answer: tuple[int, list[tuple[str, str]], bytes], *, signed_out: bool = False
    ) -> None:
        status, headers, text = answer
        assert status < 500, text
        assert self.seen_session is None, "a forged cookie was accepted"
        assert b'"session":' not in text
        cookies = [value for name, value in headers if name == "Set-Cookie"]
        assert not cookies if not signed_out else all("Max-Age=0;" in text for text in cookies)
        assert self.count_rows() == self.rows, "a table grew"
        assert b"Traceback" not in text


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    victim = Victim()
    yield victim
    victim.manager.close()


@pytest.fixture
def log(victim: Victim) -> Iterator[list[str]]:
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Keeping(logging.DEBUG)
    logger = logging.getLogger("wsgi_sessions")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    yield lines
    logger.setLevel(level)
    logger.removeHandler(handler)
    written = "\n".join(lines)
    for secret in (SECRET, victim.token, victim.token.split(".")[1], "correct horse"):
        assert secret not in written


latin = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=60)
alphabet = st.text('ABCxyz019-_.=; ,"\\', max_size=50)
generations = st.integers(-2, 10**11).map(str) | st.sampled_from(["00", "1e3", "٣", "", "0x1"])


def forged_tokens(victim: Victim) -> st.SearchStrategy[str]:
    """Tokens that look right and are not: altered, cut, renumbered, signed by another server."""
    version, secret, generation, branch, signature = victim.token.split(".")

    def flip(position: int) -> str:
        text = victim.token
        at = position % len(text)
        other = "B" if text[at] != "B" else "C"
        return text[:at] + other + text[at + 1 :]

    stranger = TokenSigner(["another server's secret, not ours!"])
    ours_for_another_purpose = victim.manager.parts.cache._keys_for(victim.database_secret).ring
    return st.one_of(
        st.integers(0, len(victim.token) - 1).map(flip),
        st.integers(0, len(victim.token) - 1).map(lambda cut: victim.token[:cut]),
        st.text("ABC019-_.", min_size=1, max_size=50).map(lambda more: victim.token + more),
        generations.filter(lambda given: given != generation).map(
            lambda given: f"{version}.{secret}.{given}.{branch}.{signature}"
        ),
        st.booleans().map(
            lambda given: (
                f"{version}.{secret}.{generation}.{new_branch(is_catch_up=given)}.{signature}"
            )
        ),
        st.text("ABC019-_.", max_size=12)
        .filter(lambda given: given != branch)
        .map(lambda given: f"{version}.{secret}.{generation}.{given}.{signature}"),
        st.just(f"{version}.{secret}.{generation}.{signature}"),
        st.integers(0, 9).map(lambda given: stranger.write(mint_secret(), given, branch)),
        st.binary(min_size=24, max_size=24).map(
            lambda given: f"v1.{secret}.{generation}.{branch}.{_encode(given)}"
        ),
        st.just(
            f"v1.{secret}.1.{branch}."
            f"{_encode(ours_for_another_purpose.sign(f'v1.{secret}.1.{branch}'.encode()))}"
        ),
    )


def _encode(given: bytes) -> str:
    return urlsafe_b64encode(given).decode()[:32]


NAMES = st.sampled_from(
    [
        "session_token",
        "__Host-session_token",
        "__Secure-session_token",
        "session_data",
        "SESSION_TOKEN",
    ]
)


@pytest.fixture(scope="module")
def cookie_headers(victim: Victim) -> st.SearchStrategy[str]:
    stranger = CookieCache(SessionConfig(secret="another server's secret, not ours!"))
    found = victim.manager.parts.store.sessions.find(victim.session_id)
    assert found is not None
    foreign_copy = stranger.seal(
        *found,
        database_secret=victim.database_secret,
        token_text=victim.token,
        issued_at_ms=0,
        ends_at_ms=10**15,
    )
    # The victim's true copy is no way in without the token it belongs to.
    copies = st.sampled_from([victim.copy or "", foreign_copy or ""])
    values = forged_tokens(victim) | alphabet | latin | copies
    pairs = st.builds("{}={}".format, NAMES | alphabet, values)
    headers = st.lists(pairs, min_size=1, max_size=8)
    return st.builds(
        lambda parts, joint: joint.join(parts),
        headers,
        st.sampled_from(["; ", ";", ", ", ",", ";;", "\t"]),
    )


def holds_the_true_token(header: str, victim: Victim) -> bool:
    return any(
        part.partition("=")[2].strip(' \t"') == victim.token
        for piece in header.split(";")
        for part in piece.split(",")
    )


@MANY
@given(data=st.data())
def test_hostile_cookies_are_no_session(
    victim: Victim,
    cookie_headers: st.SearchStrategy[str],
    log: list[str],
    data: st.DataObject,
) -> None:
    header = data.draw(cookie_headers.filter(lambda text: not holds_the_true_token(text, victim)))
    scheme = data.draw(st.sampled_from(["http", "https"]))
    path = data.draw(st.sampled_from(["/", "/api/auth/get-session", "/api/auth/list-sessions"]))

    answer = victim.ask(HTTP_COOKIE=header, PATH_INFO=path, **{"wsgi.url_scheme": scheme})

    victim.assert_is_unharmed(answer)


HEADERS = st.sampled_from(
    [
        *["HTTP_COOKIE", "HTTP_ORIGIN", "HTTP_REFERER", "HTTP_HOST", "HTTP_FORWARDED"],
        *["HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_SEC_FETCH_SITE"],
        *["HTTP_SEC_FETCH_MODE", "HTTP_USER_AGENT", "HTTP_TRANSFER_ENCODING", "QUERY_STRING"],
        *["REMOTE_ADDR", "CONTENT_TYPE", "CONTENT_LENGTH", "SCRIPT_NAME", "SERVER_PROTOCOL"],
        *["HTTP_ACCESS_CONTROL_REQUEST_METHOD", "HTTP_CONTENT_ENCODING", "HTTP_X_FORWARDED_HOST"],
    ]
)
HEADER_TEXTS = latin | st.sampled_from(
    [
        *["null", "http://app.example.org", "https://evil.example", "[::1]:80", 'for="[::1"', "-1"],
        *["10.0.0.1, unknown, 192.0.2.7", "fe80::1%eth0", "9" * 30, "chunked", "text/plain"],
        *["application/json; charset=utf-16", "for=1.2.3.4;proto=https,for=_x", "\xff\xfe"],
        *[
            'for="1.2.3.4',
            r'for="\"192.0.2.1, for=1.2.3.4"',
            "for=a;for=b",
            'for="[::1]:_x";proto=wss',
        ],
        *["wss", "same-origin", "same-origin, cross-site", "1.2.3.4, , 192.0.2.1", "[::1", "%"],
        *["A" * 9000, "http://[", "http://app.example.org:99999", "٣", "1_000", " 5 "],
    ]
)
PATHS = st.sampled_from(
    [
        *["/", "/api/auth", "/api/auth/", "/api/auth/get-session", "/api/auth/sign-out"],
        *["/api/auth/../x", "/api/auth//ok", "/api/authx", "/api/auth/ok\0", "/API/AUTH/ok"],
    ]
) | latin.map(lambda text: "/api/auth/" + text)


@MANY
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "", "get", "\xff"]),
    path=PATHS,
    headers=st.dictionaries(HEADERS, HEADER_TEXTS, max_size=6),
    body=st.binary(max_size=50),
)
def test_hostile_requests_are_answered(
    victim: Victim,
    log: list[str],
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
) -> None:
    answer = victim.ask(REQUEST_METHOD=method, PATH_INFO=path, body=body, **headers)

    victim.assert_is_unharmed(answer, signed_out=path == "/api/auth/sign-out")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
FIELDS = ["email", "password", "name", "rememberMe", "image", "token", "callbackURL", "newPassword"]


@st.composite
def json_bodies(draw: st.DrawFn) -> bytes:
    """Objects with our own fields, whose values are of any kind; never right ones."""
    given: Any = draw(st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6))
    if isinstance(given.get("email"), str) and "@" in given["email"]:
        given["email"] = "not an address"
    return json.dumps(given).encode()


BODIES = (
    json_bodies()
    | st.binary(max_size=200)
    | json_values.map(lambda value: repr(value).encode("utf-8", "surrogatepass"))
    | st.sampled_from(
        [
            *[b"[" * 30_000, b'{"a":' * 12_000, b"\xff\xfe{}", b'{"email":"\\ud800@x.org"}'],
            *[b"NaN", b"1e999999", b"9" * 5000, b"\0", b"{" + b" " * 70_000 + b"}", b"{}{}"],
            *[b'{"email":"a\\u0000@example.org","password":"correct horse","name":"A"}'],
        ]
    )
)
ENDPOINTS = [
    *["/sign-up/email", "/sign-in/email", "/sign-out", "/revoke-session", "/revoke-sessions"],
    *["/revoke-other-sessions", "/change-password", "/delete-user", "/get-session", "/ok"],
]


@MANY
@given(path=st.sampled_from(ENDPOINTS), body=BODIES)
def test_hostile_bodies_are_refused(victim: Victim, log: list[str], path: str, body: bytes) -> None:
    answer = victim.ask(REQUEST_METHOD="POST", PATH_INFO=f"/api/auth{path}", body=body)

    if path == "/sign-out":
        # It clears what the browser holds, whoever asks.
        answer = (answer[0], [pair for pair in answer[1] if pair[0] != "Set-Cookie"], answer[2])
    victim.assert_is_unharmed(answer)


def test_true_token_is_a_session(victim: Victim) -> None:
    victim.ask(HTTP_COOKIE=f"session_token={victim.token}")

    assert victim.seen_session is not None, "or the tests above would prove nothing"
    assert victim.seen_session.id == victim.session_id
