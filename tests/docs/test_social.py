"""The code of ``docs/how-to/social.md`` runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "social.md"
[PROVIDERS, ISSUER] = re.findall(
    r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
)


def test_the_providers_are_declared_as_shown(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"SECRET": "for the tests of this page alone"}
    exec(PROVIDERS, names)
    shown = names["manager"].config.social_providers
    assert [provider.name for provider in shown] == ["google", "apple", "microsoft", "corp"]


def test_the_local_issuer_is_used_as_shown() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"app"]

    names: dict[str, Any] = {"app": app}
    exec(ISSUER, names)
    assert names["answer"].json["user"]["email"] == "ada@example.org"
