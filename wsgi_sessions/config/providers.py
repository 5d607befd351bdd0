"""Social providers as they are declared: who may vouch for a user, and how that is checked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..light_dataclasses import dataclass
from .fields import Duration, duration, flag, in_ms, put

if TYPE_CHECKING:
    from typing_extensions import Unpack

_NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
_ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
_FLAGS = ("is_trusted", "vouches_for_email", "needs_server_nonce", "has_untyped_logout_tokens")
_TENANT = r"[A-Za-z0-9.-]+"


@dataclass(frozen=True, slots=True, kw_only=True)
class SocialProvider:
    """An OpenID Connect issuer whose ID tokens sign people in.

    ``name`` is what clients send as ``provider`` and what accounts are kept under.
    ``client_ids`` are ours at the provider: a token must be addressed to one of them.
    ``issuers`` are the values of ``iss`` that are taken; ``{tenantid}`` stands for the token's
    own ``tid``. The keys are at ``jwks_url``, or where the document at ``discovery_url`` says.
    ``algorithms`` are the only ones a signature may be made with, and none is symmetric.
    ``is_trusted``: a verified address of this provider's may link to a user who exists.
    ``vouches_for_email``: False where ``email_verified`` of this provider means nothing.
    ``max_age``: how long after it was issued (``iat``) an ID token is taken, whatever its own
    ``exp`` says. ``max_auth_age``: how long after somebody signed in at the provider
    (``auth_time``, which must be there then); None: no limit. ``needs_server_nonce``: True to
    take only ID tokens with a nonce that this server gave the same browser
    (``request.make_nonce``). ``has_untyped_logout_tokens``: True for a provider whose logout
    tokens do not say ``logout+jwt`` in their header.

    Raises ``ConfigurationError`` for what cannot be checked or would not be safe.
    """

    name: str
    client_ids: tuple[str, ...]
    issuers: tuple[str, ...] = ()
    jwks_url: str | None = None
    discovery_url: str | None = None
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    is_trusted: bool = False
    vouches_for_email: bool = True
    max_age: Duration = 3600
    max_auth_age: Duration | None = None
    needs_server_nonce: bool = False
    has_untyped_logout_tokens: bool = False
    max_age_ms: int = in_ms()
    max_auth_age_ms: int | None = in_ms()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(_NAME, self.name):
            raise ConfigurationError(
                f"the provider's name is {self.name!r}; give lower-case letters, digits, - and _"
            )
        if self.name == "credential":
            raise ConfigurationError(
                "a provider is named 'credential', as accounts with a password are; "
                "give another name"
            )
        for part in ("client_ids", "issuers", "algorithms"):
            object.__setattr__(self, part, _texts(f"{self.name}: {part}", getattr(self, part)))
        if not self.client_ids:
            raise ConfigurationError(
                f"{self.name}: client_ids is empty; give the client id that the provider gave you"
            )
        if not self.issuers and self.discovery_url is None:
            raise ConfigurationError(
                f"{self.name}: neither issuers nor discovery_url is given; give one of them"
            )
        if self.jwks_url is None and self.discovery_url is None:
            raise ConfigurationError(
                f"{self.name}: neither jwks_url nor discovery_url is given; give one of them"
            )
        for label, url in (("jwks_url", self.jwks_url), ("discovery_url", self.discovery_url)):
            if url is not None and not is_safe_url(url):
                raise ConfigurationError(
                    f"{self.name}: {label} is {url!r}; give an https URL (http is taken for "
                    "this machine's own addresses alone, for tests)"
                )
        wrong = [name for name in self.algorithms if name not in _ALGORITHMS]
        if wrong or not self.algorithms:
            raise ConfigurationError(
                f"{self.name}: algorithms is {self.algorithms!r}; give asymmetric ones such as "
                "'RS256', as a client id is no secret to share"
            )
        for part in _FLAGS:
            flag().check(f"{self.name}: {part}", getattr(self, part))
        put(self, "max_age", duration().check(f"{self.name}: max_age", self.max_age))
        if self.max_auth_age is not None:
            name = f"{self.name}: max_auth_age"
            put(self, "max_auth_age", duration().check(name, self.max_auth_age))
        else:
            put(self, "max_auth_age", None)


class Limits(TypedDict, total=False):
    """What can be asked of the ID tokens of any provider; see ``SocialProvider``."""

    max_age: Duration
    max_auth_age: Duration | None
    needs_server_nonce: bool
    has_untyped_logout_tokens: bool


def google(*client_ids: str, **limits: Unpack[Limits]) -> SocialProvider:
    """Sign in with Google (https://developers.google.com/identity/openid-connect).

    >>> google("123.apps.googleusercontent.com").issuers
    ('https://accounts.google.com', 'accounts.google.com')
    """
    return SocialProvider(
        name="google",
        client_ids=client_ids,
        issuers=("https://accounts.google.com", "accounts.google.com"),
        jwks_url="https://www.googleapis.com/oauth2/v3/certs",
        algorithms=("RS256",),
        is_trusted=True,
        **limits,
    )


def apple(*client_ids: str, **limits: Unpack[Limits]) -> SocialProvider:
    """Sign in with Apple; the client ids are the services id and the app's bundle ids.

    >>> apple("org.example.web").jwks_url
    'https://appleid.apple.com/auth/keys'
    """
    return SocialProvider(
        name="apple",
        client_ids=client_ids,
        issuers=("https://appleid.apple.com",),
        jwks_url="https://appleid.apple.com/auth/keys",
        algorithms=("RS256",),
        is_trusted=True,
        **limits,
    )


def microsoft(*client_ids: str, tenant: str = "common", **limits: Unpack[Limits]) -> SocialProvider:
    """Sign in with Microsoft Entra ID, of one tenant or of ``common`` for all of them.

    Its e-mail claim can be set by whoever runs a tenant, so it is never taken as verified and
    never links to a user who exists.

    >>> microsoft("6731de76-14a6-49ae-97bc-6eba6914391e").issuers
    ('https://login.microsoftonline.com/{tenantid}/v2.0',)
    """
    if not isinstance(tenant, str) or not re.fullmatch(_TENANT, tenant):
        raise ConfigurationError(f"tenant is {tenant!r}; give a tenant's id or domain, or 'common'")
    is_one = re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", tenant)
    part = tenant.lower() if is_one else "{tenantid}"
    if not is_one and tenant not in ("common", "organizations", "consumers"):
        raise ConfigurationError(
            f"tenant is {tenant!r}; give its id (a UUID), as tokens name a tenant by its id alone"
        )
    base = "https://login.microsoftonline.com"
    return SocialProvider(
        name="microsoft",
        client_ids=client_ids,
        issuers=(
            # The tenant of all personal accounts, which 'consumers' means.
            f"{base}/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
            if tenant == "consumers"
            else f"{base}/{part}/v2.0",
        ),
        jwks_url=f"{base}/{tenant}/discovery/v2.0/keys",
        algorithms=("RS256",),
        vouches_for_email=False,
        **limits,
    )


def oidc(
    name: str,
    discovery_url: str,
    *client_ids: str,
    jwks_url: str | None = None,
    is_trusted: bool = False,
    algorithms: Iterable[str] = ("RS256", "ES256"),
    **limits: Unpack[Limits],
) -> SocialProvider:
    """Any OpenID Connect issuer, by its discovery document.

    ``discovery_url`` is the issuer, or the document's full URL. The keys are where that document
    says, within the issuer's own site; ``jwks_url`` says so where they are elsewhere.

    >>> oidc("corp", "https://id.example.org", "our-client").discovery_url
    'https://id.example.org/.well-known/openid-configuration'
    """
    suffix = "/.well-known/openid-configuration"
    if isinstance(discovery_url, str) and not discovery_url.endswith(suffix):
        discovery_url = discovery_url.removesuffix("/") + suffix
    return SocialProvider(
        name=name,
        client_ids=client_ids,
        jwks_url=jwks_url,
        discovery_url=discovery_url,
        algorithms=tuple(algorithms),
        is_trusted=is_trusted,
        **limits,
    )


def is_safe_url(url: object) -> bool:
    """Return whether keys may be fetched from a URL: over https, or from this machine itself.

    >>> is_safe_url("https://id.example.org/keys"), is_safe_url("http://id.example.org/keys")
    (True, False)
    >>> is_safe_url("http://127.0.0.1:8080/keys"), is_safe_url("file:///etc/passwd")
    (True, False)
    """
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None:
        return False
    if parts.scheme == "https":
        return True
    if host == "localhost":
        return parts.scheme == "http"
    try:
        return parts.scheme == "http" and ip_address(host).is_loopback
    except ValueError:
        return False


def _texts(name: str, values: object) -> tuple[str, ...]:
    found = (values,) if isinstance(values, str) else values
    if not isinstance(found, (list, tuple)) or not all(
        isinstance(text, str) and text for text in found
    ):
        raise ConfigurationError(f"{name} is {values!r}; give a list of strings")
    return tuple(found)
