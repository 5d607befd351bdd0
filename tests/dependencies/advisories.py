"""Releases of dependencies that are known to be vulnerable.

A lower bound in pyproject.toml must leave them out. Add a line when an advisory is published for a
package that is listed here or in pyproject.toml, and raise the bound with it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Advisory:
    """Releases of ``package`` before ``fixed_in`` are vulnerable."""

    package: str
    fixed_in: str
    identifier: str
    weakness: str


ADVISORIES = (
    Advisory("cryptography", "46.0.5", "CVE-2026-26007", "points outside of their subgroup"),
    Advisory("cryptography", "48.0.1", "GHSA-537c-gmf6-5ccf", "the OpenSSL in its wheels"),
    Advisory("cryptography", "50.0.0", "CVE-2026-69247", "an oracle in PKCS#7 decryption"),
    Advisory("dnspython", "2.6.1", "CVE-2023-29483", "a forged answer stops a look-up"),
    Advisory("gunicorn", "22.0.0", "CVE-2024-1135", "request smuggling"),
    Advisory("gunicorn", "23.0.0", "CVE-2024-6827", "request smuggling"),
    Advisory("idna", "3.7", "CVE-2024-3651", "long names take minutes"),
    Advisory("idna", "3.15", "CVE-2026-45409", "long names take minutes"),
    Advisory("jinja2", "3.1.3", "CVE-2024-22195", "attributes injected by xmlattr"),
    Advisory("jinja2", "3.1.4", "CVE-2024-34064", "attributes injected by xmlattr"),
    Advisory("jinja2", "3.1.5", "CVE-2024-56326", "a way out of the sandbox"),
    Advisory("jinja2", "3.1.6", "CVE-2025-27516", "a way out of the sandbox"),
    Advisory("pyjwt", "2.12.0", "CVE-2026-32597", "unknown critical headers are accepted"),
    Advisory("pyjwt", "2.13.0", "CVE-2026-48526", "a public key as HMAC secret"),
    Advisory("pyjwt", "2.14.0", "GHSA-ffc3-869f-jxw9", "a public key as HMAC secret"),
    # No identifier: the release notes list it under "Security".
    Advisory("pyjwt", "2.15.0", "PyJWT 2.15.0", "deeply nested claims end in RecursionError"),
    Advisory("pymysql", "1.1.1", "CVE-2024-36039", "SQL injected by the keys of a dict"),
    Advisory("pymysql", "1.1.3", "PyMySQL 1.1.3", "SQL injected by the name of a procedure"),
    Advisory("pytest", "9.0.3", "CVE-2025-71176", "a temporary folder that others can prepare"),
    Advisory("webob", "1.8.8", "CVE-2024-42353", "redirects to another site"),
    Advisory("webob", "1.8.10", "CVE-2026-44889", "redirects to another site"),
    Advisory("webob", "1.8.11", "WebOb 1.8.11", "redirects to another site"),
)
