"""Names are lines of text, and images are URLs: what is refused, and what people are really called."""

from __future__ import annotations

import unicodedata

import pytest

from wsgi_sessions import InvalidValueError
from wsgi_sessions.accounts.profile import check_image, check_name, without_controls


def test_no_control_character_or_separator_of_lines_is_taken() -> None:
    for code in range(0x11_0000):
        character = chr(code)
        if unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs"):
            with pytest.raises(InvalidValueError):
                check_name(f"Ada{character}Lovelace")


@pytest.mark.parametrize("code", [*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
def test_nothing_that_turns_the_text_after_it_is_taken(code: int) -> None:
    with pytest.raises(InvalidValueError, match="control character"):
        check_name(f"Ada{chr(code)}gpj.exe")


@pytest.mark.parametrize(
    "name",
    [
        *["", "Ada", "Ada King, Countess", "Ægir Þór", "李小龍", "O'Brien <ada@x>"],
        *["می\u200cخواهم", "क्\u200dष", "\u200fאדה", "👩\u200d💻", "Ada\u00a0L."],
    ],
)
def test_names_of_people_are_taken(name: str) -> None:
    check_name(name)
    assert without_controls(name) == name


@pytest.mark.parametrize(
    "image",
    [
        *["https://example.org/a.png", "HTTP://example.org", "https://example.org:8443/a?s=1#x"],
        *["https://bücher.example/é.png", "https://192.0.2.1/a(1).png", "https://x/it's.png"],
        "https://example.org/" + "a" * 2028,
    ],
)
def test_image_is_a_url_of_the_web(image: str) -> None:
    check_image(image)


@pytest.mark.parametrize(
    "image",
    [
        *["", "a.png", "/a.png", "//example.org/a.png", "https://", "https:///a", "https:/a.png"],
        *["javascript:alert(1)", "data:image/svg+xml,<svg onload=alert(1)>", "file:///etc/passwd"],
        *[
            'https://x/"onerror=alert(1)',
            "https://x/ a",
            "https://x/\ta",
            " https://x/",
            "ftp://x/",
        ],
        *["https://x/<b>", "https://x\\@y/", "https://x/\n", "blob:https://x/1"],
        *["https://x/\u2028", "https://example.org/" + "a" * 2029],
    ],
)
def test_anything_else_is_refused(image: str) -> None:
    with pytest.raises(InvalidValueError, match="image"):
        check_image(image)
