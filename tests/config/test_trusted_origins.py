"""Trusted origins, and the wildcards that would trust anybody."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from wsgi_sessions import ConfigurationError
from wsgi_sessions.config.public_suffixes import covers_public_suffix

from .configs import make


@pytest.mark.parametrize(
    "origin",
    [
        *["http://*", "https://*:8443", "https://*.org", "https://app-*.com", "http://*.localhost"],
        *["https://a.*.com", "https://*.example.*", "https://example.org.*", "http://192.168.1.*"],
        *["https://*.*.org", "https://.example.org", "https://*..example.org", "https://a.org."],
        *["https://*.co.uk", "https://*.CO.UK:8443", "https://x*.co.uk", "https://a.*.co.uk"],
        *["https://*.github.io", "http://ada-*.github.io", "https://*.s3.amazonaws.com"],
        *["https://my-app-*.vercel.app", "https://deploy-*--site.netlify.app"],
        *["https://*.amazonaws.com", "https://*.*.amazonaws.com", "https://s*.amazonaws.com"],
        *["https://*.ck", "https://*.foo.ck", "https://*.kawasaki.jp", "https://*.x.kawasaki.jp"],
        *["https://*.xn--55qx5d.cn", "https://*.xn--p1ai", "https://*.k12.ca.us"],
        *["https://k12*.ca.us", "https://*k12.ca.us"],
        # Of *.kawasaki.jp's kind, where no other rule covers the domain.
        *["https://*.sagemaker.aws", "https://*.rds.amazonaws.com", "https://a.*.sagemaker.aws"],
        *["http://10.*.0.1", "http://*.0.0.1", "https://*.compute.amazonaws.com"],
        *["https://*.eu-west-1.compute.amazonaws.com", "https://foo.*", "https://*.unheard-of"],
    ],
)
def test_wildcard_for_anybodys_host_is_refused(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="trusted_origins holds .* such as"):
        make(trusted_origins=[origin])


@pytest.mark.parametrize(
    "origin",
    [
        *["https://*.example.org", "https://app-*.example.org:8443", "https://*.*.example.org"],
        *["https://a.*.b.example.org", "http://localhost:3000", "app://host", "http://[::1]:80"],
        *["https://*.ada.github.io", "https://*.example.co.uk", "https://*.site.co.uk:8443"],
        *["https://*.www.ck", "https://*.city.kawasaki.jp", "https://*.corp.unheard-of"],
        *["https://*.xn--55qx5d.example.cn", "https://*.my-bucket.s3.amazonaws.com"],
        # Suffixes lie below, where the pattern does not reach.
        *["https://*.thingdust.io", "https://*.on.aws", "https://*s.amazonaws.com"],
        *["https://ada.github.io", "https://github.io", "http://10.0.0.1"],
    ],
)
def test_wildcard_before_a_domain_of_ones_own_is_taken(origin: str) -> None:
    assert make(trusted_origins=[origin]).trusted_origins == (origin,)


@pytest.mark.parametrize("host", ["github.io", "localhost", "10.0.0.1", ""])
def test_host_without_a_wildcard_covers_nothing_but_itself(host: str) -> None:
    assert covers_public_suffix(host) is False


def test_list_of_public_suffixes_is_read_for_wildcards_alone() -> None:
    """Reading it takes as long as importing the package."""
    program = (
        "from wsgi_sessions import SessionConfig\n"
        "from wsgi_sessions.config import public_suffixes\n"
        "read = public_suffixes._read_list.cache_info\n"
        "SessionConfig(secret='s0123456789abcdef' * 2, trusted_origins=('https://github.io',))\n"
        "print(read().misses)\n"
        "SessionConfig(secret='s0123456789abcdef' * 2, trusted_origins=('https://*.example.org',))\n"
        "print(read().misses)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (ran.stdout.split(), ran.returncode) == (["0", "1"], 0), ran.stderr


@pytest.mark.parametrize("value", [True, 5])
def test_number_is_no_network(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="give networks or addresses"):
        make(trusted_proxies=[value])
