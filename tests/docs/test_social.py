"""The code of ``docs/how-to/social.md`` runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from wsgi_sessions_testing import Bench, LocalIssuer

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "social.md"
[PROVIDERS, END_ALL, ISSUER] = re.findall(
    r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
)


def test_the_providers_are_declared_as_shown(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"SECRET": "for the tests of this page alone"}
    exec(PROVIDERS, names)
    shown = names["manager"].config.social_providers
    assert [provider.name for provider in shown] == ["google", "apple", "microsoft", "corp"]


def test_a_logout_at_the_provider_ends_all_as_shown() -> None:
    with (
        LocalIssuer() as issuer,
        Bench(None, social_providers=[issuer.provider("corp")]) as bench,
    ):
        issuer.clock = bench.clock
        exec(END_ALL, {"manager": bench.manager})
        token = issuer.id_token("ada-1", email="ada@example.org")
        user = bench.manager.sign_in_social(provider="corp", id_token=token).user
        bench.manager.sign_in(user.id)
        bench.manager.backchannel_logout("corp", issuer.logout_token("ada-1"))
        assert bench.manager.list_sessions(user.id) == []


def test_the_local_issuer_is_used_as_shown() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"app"]

    names: dict[str, Any] = {"app": app}
    exec(ISSUER, names)
    assert names["answer"].json["user"]["email"] == "ada@example.org"
