"""Fields for passwords in the examples: masked, and for password managers to fill in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
FIELD = re.compile(r"""<(?:input|Field)\s[^>]*name="(?:password|current|new)(?:Password)?"[^>]*>""")


def has_fields_for_passwords_as_they_should_be(text: str) -> bool:
    fields = FIELD.findall(text)
    return bool(fields) and all(
        'type="password"' in one
        and re.search(r'autocomplete="(?:current-password|new-password|\{\})"', one, re.IGNORECASE)
        and "onpaste" not in one.lower()
        for one in fields
    )


@pytest.mark.parametrize(
    "path",
    [
        *[f"react/src/{name}.jsx" for name in ("Account", "StepUp", "Welcome", "links")],
        *["flask_notes/flask_notes/templates/welcome.html", "frameworks/pages.py"],
        "sessions_page.py",
    ],
)
def test_passwords_are_masked_and_named_for_password_managers(path: str) -> None:
    text = (EXAMPLES / path).read_text(encoding="utf-8")

    assert text.count('type="password"') == len(FIELD.findall(text))
    assert has_fields_for_passwords_as_they_should_be(text)
