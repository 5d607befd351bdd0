"""What can be declared as a provider, and what is refused with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from wsgi_sessions import (
    ConfigurationError,
    SessionConfig,
    SocialProvider,
    apple,
    google,
    microsoft,
    oidc,
)

SECRET = "a-secret-for-tests-of-32-characters"
BASE = {"name": "corp", "client_ids": ("ours",), "issuers": ("https://i.example",)}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (google, "google: client_ids is empty"),
        (lambda: google(""), "google: client_ids is .*; give a list of strings"),
        (lambda: apple(5), "apple: client_ids is"),  # type: ignore[arg-type]
        (lambda: microsoft("id", tenant="a/b"), "tenant is 'a/b'"),
        (lambda: microsoft("id", tenant="contoso.com"), "give its id"),
        (lambda: oidc("Corp", "https://i.example", "ours"), "the provider's name is 'Corp'"),
        (lambda: oidc("credential", "https://i.example", "ours"), "give another name"),
        (lambda: oidc("corp", "http://i.example", "ours"), "give an https URL"),
        (lambda: oidc("corp", "https://me@i.example", "ours"), "give an https URL"),
        (lambda: oidc("corp", "https://i.example:x", "ours"), "give an https URL"),
        (lambda: oidc("corp", "https://i. example", "ours"), "give an https URL"),
        (lambda: oidc("corp", "https://i.example", "ours", algorithms=["HS256"]), "asymmetric"),
        (lambda: oidc("corp", "https://i.example", "ours", algorithms=["none"]), "asymmetric"),
        (lambda: oidc("corp", "https://i.example", "ours", algorithms=[]), "asymmetric"),
        (
            lambda: oidc("corp", "https://i.example", "ours", is_trusted="false"),  # type: ignore[arg-type]
            "corp: is_trusted is 'false'; give True or False",
        ),
        (lambda: google("ours", needs_server_nonce=1), "needs_server_nonce is 1"),  # type: ignore[arg-type]
        (lambda: google("ours", max_age=0), "google: max_age is 0 s but must be more than 0"),
        (lambda: oidc("corp", "https://i.example", "ours", max_auth_age="x"), "max_auth_age is"),  # type: ignore[arg-type]
        (lambda: SocialProvider(name="corp", client_ids=("ours",)), "neither issuers nor"),
        (lambda: SocialProvider(**BASE), "neither jwks_url nor"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_provider_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.parametrize("url", ["http://localhost:1/k", "http://127.0.0.1/k", "http://[::1]:9/k"])
def test_this_machine_needs_no_https(url: str) -> None:
    assert SocialProvider(**BASE, jwks_url=url).jwks_url == url  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tenant", "issuer"),
    [
        ("common", "https://login.microsoftonline.com/{tenantid}/v2.0"),
        ("organizations", "https://login.microsoftonline.com/{tenantid}/v2.0"),
        (
            "consumers",
            "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
        ),
        (
            "AAAAAAAA-2222-3333-4444-555555555555",
            "https://login.microsoftonline.com/aaaaaaaa-2222-3333-4444-555555555555/v2.0",
        ),
    ],
)
def test_microsofts_tenants(tenant: str, issuer: str) -> None:
    provider = microsoft("id", tenant=tenant)
    assert provider.issuers == (issuer,)
    assert (provider.is_trusted, provider.vouches_for_email) == (False, False)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"social_providers": google("a")}, "give a list of google"),
        ({"social_providers": ["google"]}, "give a list of google"),
        ({"social_providers": [google("a"), google("b")]}, "names 'google' twice"),
        ({"session_fields": ["theme"]}, "give names with types"),
        ({"session_fields": {"userId": "string"}}, "that is none of"),
        ({"session_fields": {"a b": "string"}}, "holds 'a b'"),
        ({"session_fields": {"theme": "text"}}, "theme"),
        ({"pages_path": "account"}, "pages_path is 'account'"),
        ({"pages_path": "/api/auth/pages"}, "one would hide the other"),
        ({"pages_path": "/api"}, "one would hide the other"),
        ({"health_path": "/api/auth/health"}, "health_path is '/api/auth/health' and api_path is"),
        ({"health_path": "/health", "exempt_paths": ["/health"]}, "would not be answered"),
        ({"pages_templates": "/nowhere/at/all"}, "give a folder that exists"),
        ({"pages_templates": 5}, "give a folder that exists"),
        ({"sign_in_url": "javascript:alert(1)"}, "sign_in_url is"),
        ({"sign_in_url": "//evil.example"}, "sign_in_url is"),
        ({"sign_in_url": "/a\nb"}, "sign_in_url is"),
        ({"sign_in_url": None}, "sign_in_url is"),
    ],
)
def test_a_wrong_setting_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SessionConfig(secret=SECRET, **setting)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsgi_sessions.config.checks.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'wsgi-sessions\[social\]'"):
        SessionConfig(secret=SECRET, social_providers=[google("a")])


def test_right_settings_are_taken() -> None:
    config = SessionConfig(
        secret=SECRET,
        social_providers=[google("a"), apple("b")],
        session_fields={"theme": "string"},
        pages_path="/account/sessions",
        sign_in_url="https://id.example.org/in?x=1",
    )
    assert [provider.name for provider in config.social_providers] == ["google", "apple"]
    assert config.session_fields == {"theme": "string"}


def test_limits_are_those_of_any_provider() -> None:
    for provider in (
        google("ours", max_age=60, max_auth_age=timedelta(hours=1)),
        apple("ours", max_age=60, max_auth_age=3600),
        microsoft("ours", max_age=60, max_auth_age=3600),
        oidc("corp", "https://i.example", "ours", max_age=60, max_auth_age=3600),
    ):
        assert (provider.max_age_ms, provider.max_auth_age_ms) == (60_000, 3_600_000)
        assert provider.max_age == timedelta(minutes=1)
    assert (google("ours").max_age_ms, google("ours").max_auth_age_ms) == (3_600_000, None)
