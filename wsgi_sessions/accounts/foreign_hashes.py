"""Password hashes that others have made: what each format means, and how much work is done for it.

``read_hash`` reads one; a password that fits is hashed anew, so each is needed once.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import cache, partial
from hmac import compare_digest
from typing import Any

import argon2
from argon2.exceptions import VerificationError

logger = logging.getLogger("wsgi_sessions")

Check = Callable[[bytes], bool]
"""Takes a password in UTF-8, and returns whether it is the one that was hashed."""
Decoder = Callable[[str], bytes]

_MAX_ARGON2_KIB = 2**21
"""Memory: 2 GiB, the first recommended option of RFC 9106."""
_MAX_ARGON2_WORK_KIB = 2**23
"""Memory times passes."""
_MAX_ARGON2_LANES = 64
_MAX_SCRYPT_BYTES = 2**30
"""Memory times parallelism."""
_MAX_PBKDF2_ROUNDS = 10_000_000
_MAX_BCRYPT_COST = 16
_MAX_SHA_CRYPT_ROUNDS = 1_000_000
"""Without ``rounds=`` they are 5,000."""


class UnusableHashError(Exception):
    """No password can be compared with a hash; ``why`` is one word of the event about it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def read_hash(encoded: str) -> Check:
    """Return what compares a password with a stored hash. Raises ``UnusableHashError``."""
    for pattern, read in _FORMATS:
        if found := re.fullmatch(pattern, encoded, re.ASCII):
            try:
                return read(**found.groupdict())
            except ValueError:  # of base64
                break
    raise UnusableHashError("unknown_format")


def check_argon2(encoded: str) -> Check:
    """Return what compares a password with a hash of argon2, whatever its parameters."""

    def check(secret: bytes) -> bool:
        try:
            return argon2.PasswordHasher().verify(encoded, secret)
        except (VerificationError, ValueError):  # another password, or no sound hash
            return False

    return check


def _argon2(encoded: str, memory: str, passes: str, lanes: str) -> Check:
    memory_kib = int(memory)
    _refuse_if(
        memory_kib > _MAX_ARGON2_KIB
        or memory_kib * int(passes) > _MAX_ARGON2_WORK_KIB
        or int(lanes) > _MAX_ARGON2_LANES
    )

    return check_argon2(encoded)


def _bcrypt(encoded: str, cost: str, *, prepare: Callable[[bytes], bytes] = bytes) -> Check:
    _refuse_if(int(cost) > _MAX_BCRYPT_COST)
    try:
        import bcrypt
    except ImportError:
        raise _missing("bcrypt") from None

    def check(secret: bytes) -> bool:
        try:
            # Its first 72 bytes are all that bcrypt has ever looked at.
            made = bcrypt.hashpw(prepare(secret)[:72], encoded.encode())
        except ValueError:
            return False
        return compare_digest(made, encoded.encode())

    return check


def _sha_crypt(encoded: str, kind: str, rounds: str | None = None) -> Check:
    """Read one of Unix and passlib, which passlib computes in Python."""
    _refuse_if(int(rounds or 0) > _MAX_SHA_CRYPT_ROUNDS)
    try:
        from passlib import hash as hashes
    except ImportError:
        raise _missing("passlib") from None
    handler: Any = hashes.sha256_crypt if kind == "5" else hashes.sha512_crypt

    def check(secret: bytes) -> bool:
        try:
            return bool(handler.verify(secret, encoded))
        except ValueError:  # a password with NUL, or no sound hash
            return False

    return check


def _sha256_in_hex(secret: bytes) -> bytes:
    return hashlib.sha256(secret).hexdigest().encode()


def _bcrypt_sha256(kind: str, cost: str, salt: str, digest: str, *, version: int) -> Check:
    """Read passlib's, which hashes the password first, as it is or keyed with the salt."""

    def prepare(secret: bytes) -> bytes:
        if version == 1:
            return b64encode(hashlib.sha256(secret).digest())
        return b64encode(hmac.digest(salt.encode(), secret, "sha256"))

    return _bcrypt(f"${kind}${int(cost):02}${salt}{digest}", cost, prepare=prepare)


def _scrypt(
    *,
    r: str,
    p: str,
    salt: str,
    digest: str,
    n: str = "",
    log_n: str = "",
    salt_of: Decoder = str.encode,
    digest_of: Decoder,
) -> Check:
    costs = {"n": int(n) if n else 2 ** int(log_n), "r": int(r), "p": int(p)}
    if costs["n"] < 2 or costs["n"] & (costs["n"] - 1) or not costs["r"] or not costs["p"]:
        raise UnusableHashError("unknown_format")
    _refuse_if(128 * costs["r"] * (costs["n"] + 2) * costs["p"] > _MAX_SCRYPT_BYTES)
    if costs["n"].bit_length() > 16 * costs["r"]:  # RFC 7914, section 2
        raise UnusableHashError("unknown_format")
    memory_bytes = 128 * costs["r"] * (costs["n"] + costs["p"] + 2)
    known, salt_bytes = digest_of(digest), salt_of(salt)

    def check(secret: bytes) -> bool:
        try:
            made = hashlib.scrypt(
                secret, salt=salt_bytes, **costs, maxmem=memory_bytes, dklen=len(known)
            )
        except ValueError:  # no memory
            return False
        return compare_digest(made, known)

    return check


def _pbkdf2(
    *,
    rounds: str,
    salt: str,
    digest: str,
    name: str = "sha1",
    salt_of: Decoder = str.encode,
    digest_of: Decoder,
) -> Check:
    if not int(rounds):
        raise UnusableHashError("unknown_format")
    known, salt_bytes = digest_of(digest), salt_of(salt)
    # All rounds are done for each block of the key (RFC 8018, section 5.2).
    block_count = -(-len(known) // hashlib.new(name).digest_size)
    _refuse_if(int(rounds) * block_count > _MAX_PBKDF2_ROUNDS)

    def check(secret: bytes) -> bool:
        made = hashlib.pbkdf2_hmac(name, secret, salt_bytes, int(rounds), len(known))
        return compare_digest(made, known)

    return check


def _refuse_if(is_too_costly: bool) -> None:
    if is_too_costly:
        raise UnusableHashError("too_costly")


def _missing(package: str) -> UnusableHashError:
    _warn_of_missing(package)
    return UnusableHashError(f"{package}_missing")


@cache
def _warn_of_missing(package: str) -> None:
    from ..log_fields import log_fields

    logger.warning(
        "there are password hashes of %(package)s, which can't be checked without it, so their "
        "users can't sign in; install it with pip install 'wsgi-sessions[%(package)s]'",
        {"package": package},
        extra=log_fields("extra_missing", details={"package": package}),
    )


def _from_base64(text: str) -> bytes:
    """Decode base64, also passlib's, which has no padding and a dot for the plus."""
    text = text.replace(".", "+").rstrip("=")
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


_NUMBER = "[0-9]{1,10}"
_BASE64 = "[A-Za-z0-9+/.]{11,176}=?=?"
_SALT, _SALT_64 = r"(?P<salt>[^$]+)", rf"(?P<salt>{_BASE64})"
_DIGEST_HEX, _DIGEST_64 = "(?P<digest>[0-9a-f]{32,256})", rf"(?P<digest>{_BASE64})"
_N, _R, _P, _ROUNDS = (rf"(?P<{name}>{_NUMBER})" for name in ("n", "r", "p", "rounds"))
_ARGON2_COSTS = rf"m=(?P<memory>{_NUMBER}),t=(?P<passes>{_NUMBER}),p=(?P<lanes>{_NUMBER})"
_ARGON2 = (
    rf"(?P<encoded>\$argon2(?:id|i|d)\$v=[0-9]{{1,3}}\${_ARGON2_COSTS}(?:\$[A-Za-z0-9+/]+){{2}})"
)
_BCRYPT = r"(?P<encoded>\$2[aby]\$(?P<cost>[0-9]{2})\$[A-Za-z0-9./]{53})"
_CRYPT_END = r"[A-Za-z0-9./]{1,16}\$[A-Za-z0-9./]"
_COST_AND_BCRYPT = (
    r"(?P<cost>[0-9]{1,2})\$(?P<salt>[A-Za-z0-9./]{22})\$(?P<digest>[A-Za-z0-9./]{31})"
)

_FORMATS: tuple[tuple[str, Callable[..., Check]], ...] = (
    (_ARGON2, _argon2),
    (_BCRYPT, _bcrypt),
    # Better Auth: its salt is the text, not what it stands for.
    (
        "(?P<salt>[0-9a-f]{32}):(?P<digest>[0-9a-f]{128})",
        partial(_scrypt, n="16384", r="16", p="1", digest_of=bytes.fromhex),
    ),
    # Werkzeug
    (rf"scrypt:{_N}:{_R}:{_P}\${_SALT}\${_DIGEST_HEX}", partial(_scrypt, digest_of=bytes.fromhex)),
    (
        rf"pbkdf2:(?P<name>sha1|sha256|sha512):{_ROUNDS}\${_SALT}\${_DIGEST_HEX}",
        partial(_pbkdf2, digest_of=bytes.fromhex),
    ),
    # Django
    (
        rf"pbkdf2_(?P<name>sha1|sha256)\${_ROUNDS}\${_SALT}\${_DIGEST_64}",
        partial(_pbkdf2, digest_of=_from_base64),
    ),
    (rf"scrypt\${_N}\${_SALT}\${_R}\${_P}\${_DIGEST_64}", partial(_scrypt, digest_of=_from_base64)),
    (rf"argon2{_ARGON2}", _argon2),
    (rf"bcrypt\${_BCRYPT}", _bcrypt),
    (rf"bcrypt_sha256\${_BCRYPT}", partial(_bcrypt, prepare=_sha256_in_hex)),
    # passlib
    (
        rf"\$pbkdf2-(?P<name>sha256|sha512)\${_ROUNDS}\${_SALT_64}\${_DIGEST_64}",
        partial(_pbkdf2, salt_of=_from_base64, digest_of=_from_base64),
    ),
    (
        rf"\$pbkdf2\${_ROUNDS}\${_SALT_64}\${_DIGEST_64}",
        partial(_pbkdf2, salt_of=_from_base64, digest_of=_from_base64),
    ),
    (
        rf"\$scrypt\$ln=(?P<log_n>[0-9]{{1,2}}),r={_R},p={_P}\${_SALT_64}\${_DIGEST_64}",
        partial(_scrypt, salt_of=_from_base64, digest_of=_from_base64),
    ),
    (
        rf"\$bcrypt-sha256\$v=2,t=(?P<kind>2b),r={_COST_AND_BCRYPT}",
        partial(_bcrypt_sha256, version=2),
    ),
    (rf"\$bcrypt-sha256\$(?P<kind>2[ab]),{_COST_AND_BCRYPT}", partial(_bcrypt_sha256, version=1)),
    (rf"(?P<encoded>\$(?P<kind>5)\$(?:rounds={_ROUNDS}\$)?{_CRYPT_END}{{43}})", _sha_crypt),
    (rf"(?P<encoded>\$(?P<kind>6)\$(?:rounds={_ROUNDS}\$)?{_CRYPT_END}{{86}})", _sha_crypt),
)
