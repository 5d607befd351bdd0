"""``LocalIssuer``: an OpenID Connect issuer on this machine, for tests of social sign-in.

For tests alone: it signs an ID token for whomever it is asked to.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from wsgi_sessions import Clock, SocialProvider, SystemClock, oidc

from ..extras import from_extra

CLIENT_ID = "client-of-tests"
_MINUTES_2 = 120
_MINUTES_15 = 900


class LocalIssuer:
    """An issuer with a discovery document, keys that can change, and ID tokens on demand.

    Serves on a free port of 127.0.0.1 from ``with`` on; tokens are dated by ``clock``. Needs
    the extra ``social``.

    >>> with LocalIssuer() as issuer:
    ...     provider = issuer.provider("corp")
    ...     token = issuer.id_token("ada", email="ada@example.org", email_verified=True)
    >>> provider.client_ids, token.count(".")
    (('client-of-tests',), 2)
    """

    def __init__(self, *, clock: Clock | None = None, algorithm: str = "RS256") -> None:
        self.clock = clock or SystemClock()
        self.algorithm = algorithm
        self.requested: list[str] = []
        self._answers: dict[str, tuple[int, bytes, Mapping[str, str]]] = {}
        self._key_count = self._token_count = 0
        self.rotate_keys()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self.serve_json(
            "/.well-known/openid-configuration",
            {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "id_token_signing_alg_values_supported": [algorithm],
            },
        )

    @property
    def url(self) -> str:
        """The issuer, as ``iss`` names it."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def provider(self, name: str, *, is_trusted: bool = False) -> SocialProvider:
        """Return this issuer as a setting for ``social_providers``."""
        return oidc(name, self.url, CLIENT_ID, is_trusted=is_trusted, algorithms=(self.algorithm,))

    def id_token(self, subject: str, /, *, expires_in: int = _MINUTES_15, **claims: Any) -> str:
        """Return a signed ID token; a claim given as None is left out. Times in seconds.

        No two are alike, as each has a ``jti`` of its own.
        """
        ends = self.clock.now_ms() // 1000 + expires_in
        said = {**self._common_claims(), "sub": subject, "exp": ends, **claims}
        return self.sign({name: value for name, value in said.items() if value is not None})

    def logout_token(
        self,
        subject: str | None = None,
        /,
        *,
        sid: str | None = None,
        headers: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return a signed logout token for a user, for one of their sessions, or for both.

        A claim given as None is left out; ``headers`` are changes of its header.
        """
        now = self.clock.now_ms() // 1000
        events: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
        said = {"sub": subject, "sid": sid, "exp": now + _MINUTES_2, "events": events, **claims}
        return self._sign_event("logout+jwt", said, headers)

    def revocation(
        self,
        subject: str | None = None,
        /,
        *,
        sid: str | None = None,
        headers: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return a signed security event that sessions are revoked (CAEP), as a logout token."""
        user = {"format": "iss_sub", "iss": self.url, "sub": subject}
        session = {"format": "opaque", "id": sid}
        named: dict[str, Any] = {"format": "complex", "user": user, "session": session}
        if sid is None:
            named = user
        elif subject is None:
            named = session
        event = {"event_timestamp": self.clock.now_ms() // 1000}
        revoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
        said = {"sub_id": named, "events": {revoked: event}, **claims}
        return self._sign_event("secevent+jwt", said, headers)

    def _sign_event(
        self, kind: str, claims: Mapping[str, Any], headers: Mapping[str, Any] | None
    ) -> str:
        said = {**self._common_claims(), **claims}
        sound = {name: value for name, value in said.items() if value is not None}
        return self.sign(sound, **{"typ": kind, **(headers or {})})

    def _common_claims(self) -> dict[str, Any]:
        self._token_count += 1
        return {
            "iss": self.url,
            "jti": f"token-{self._token_count}",
            "aud": CLIENT_ID,
            "iat": self.clock.now_ms() // 1000,
        }

    def sign(self, claims: Mapping[str, Any], **headers: Any) -> str:
        """Sign any claims with the present key; a header given as None is left out."""
        with from_extra("social", "PyJWT", "LocalIssuer"):
            import jwt

        return jwt.PyJWS().encode(
            json.dumps(dict(claims)).encode(),
            self.private_key,
            algorithm=self.algorithm,
            headers={
                name: value
                for name, value in {"kid": self.key_id, **headers}.items()
                if value is not None
            },
        )

    def rotate_keys(self, *, keep_old: bool = False) -> None:
        """Sign with a new key from now on; the old one is no longer published unless kept."""
        with from_extra("social", "PyJWT", "LocalIssuer"):
            import jwt.algorithms
        with from_extra("social", "cryptography", "LocalIssuer"):
            from cryptography.hazmat.primitives.asymmetric import ec, rsa

        self._key_count += 1
        self.key_id = f"key-{self._key_count}"
        published = json.loads(self._answers["/keys"][1])["keys"] if keep_old else []
        if self.algorithm.startswith("ES"):
            self.private_key: Any = ec.generate_private_key(ec.SECP256R1())
            public = jwt.algorithms.ECAlgorithm.to_jwk(self.private_key.public_key(), as_dict=True)
        else:
            self.private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            public = jwt.algorithms.RSAAlgorithm.to_jwk(self.private_key.public_key(), as_dict=True)
        public = {"kid": self.key_id, "use": "sig", "alg": self.algorithm, **public}
        public.pop("key_ops", None)
        self.serve_json("/keys", {"keys": [public, *published]})

    def serve_json(self, path: str, value: object) -> None:
        """Answer a path with JSON."""
        self.serve(path, json.dumps(value).encode())

    def serve(
        self, path: str, body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer a path with anything, to play a provider that misbehaves."""
        self._answers[path] = (status, body, headers or {})

    def stop(self) -> None:
        """Be unreachable from now on."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> LocalIssuer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requested.append(self.path)
                status, body, headers = issuer._answers.get(self.path, (404, b"{}", {}))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing: the test's output is not this server's."""

        return Handler

    def __repr__(self) -> str:
        return f"LocalIssuer({self.url!r})"
