"""The code of ``docs/how-to/sessions-page.md`` runs, and its tables name what there is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import wsgi_sessions.pages.app as pages
from wsgi_sessions.pages.rows import SessionRow

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "sessions-page.md").read_text(
    encoding="utf-8"
)
TEMPLATES = Path(pages.__file__).parent / "templates"


def test_the_page_is_switched_on_as_shown(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"SECRET": "for the tests of this page alone"}
    [block] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(block, names)
    assert names["manager"].config.pages_path == "/account/sessions"


def test_every_template_and_every_field_is_named() -> None:
    table = set(re.findall(r"^\| `([\w.]+)` \|", PAGE, re.MULTILINE))
    assert table == {path.name for path in TEMPLATES.iterdir()}
    told = PAGE.partition("Each of `sessions` has")[2].partition(".")[0]
    fields = {field.name for field in dataclasses.fields(SessionRow)}
    assert set(re.findall(r"`(\w+)`", told)) == fields
