"""The header Accept-Language: what clients ask for, and what nobody means."""

from __future__ import annotations

import pytest

from wsgi_sessions.transport.languages import preferred_language

OFFERED = ("en", "de", "fr", "pt-br")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de", "de"),
        ("DE", "de"),
        ("de-CH", "de"),
        ("de-Latn-CH-1996,fr", "de"),
        ("pt-BR", "pt-br"),
        ("pt-br-x-home", "pt-br"),
        ("fr,de", "fr"),
        ("fr;q=0.5,de", "de"),
        ("fr;q=0.5 , de ; q = 0.9", "de"),
        ("nl, fr;q=0.5", "fr"),
        ("de;q=0, fr;q=0.1", "fr"),
        ("de;q=1.000,fr;q=1.", "de"),
        ("nl;;q=1,de", "de"),
    ],
)
def test_the_first_that_is_offered_is_taken(header: str, language: str) -> None:
    assert preferred_language(header, OFFERED) == language


@pytest.mark.parametrize(
    "header",
    ["", "nl", "pt", "pt-PT", "*", "de;q=0", "de;q=0.0", "de;q=two", "de_CH", "-", ",;,=", "d\xe9"],
)
def test_nothing_is_taken_where_nothing_fits(header: str) -> None:
    assert preferred_language(header, OFFERED) is None


def test_a_long_header_is_not_read_to_its_end() -> None:
    assert preferred_language("nl," * 300 + "de", OFFERED) == "de"
    assert preferred_language("nl," * 100_000 + "de", OFFERED) is None
