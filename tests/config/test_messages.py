"""The setting ``messages``: which codes, languages and fields it takes, and what it says else."""

from __future__ import annotations

from typing import Any

import pytest

from wsgi_sessions import ConfigurationError, RefusedError, SessionConfig

SECRET = "a-secret-for-tests-of-32-characters"


class NoPlacesError(RefusedError):
    code = "NO_PLACES_ARE_LEFT"
    message = "Only {left} places are left."


def messages_of(given: Any) -> Any:
    return SessionConfig(secret=SECRET, messages=given).messages


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"INVALID_PASSWORD": "Falsches Passwort"},
        {"PASSWORD_TOO_SHORT": "Mindestens {min_length}."},
        {"PASSWORD_TOO_SHORT": "Zu kurz {} { }"},
        {"NO_PLACES_ARE_LEFT": "Noch {left}."},
        {"MINE_IS_NOT_IMPORTED_YET": "Noch {left}."},
        {"de": {"INVALID_PASSWORD": "Falsches Passwort"}, "INVALID_PASSWORD": "Wrong"},
    ],
)
def test_what_is_taken(given: Any) -> None:
    assert messages_of(given) == given


def test_a_language_is_kept_in_small_letters() -> None:
    assert messages_of({"pt-BR": {"NOT_FOUND": "Nada"}}) == {"pt-br": {"NOT_FOUND": "Nada"}}


def test_it_does_not_follow_the_mapping_it_was_made_of() -> None:
    german = {"NOT_FOUND": "Nichts"}
    config = SessionConfig(secret=SECRET, messages={"de": german})
    german["NOT_FOUND"] = "Etwas"
    assert config.messages == {"de": {"NOT_FOUND": "Nichts"}}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("Falsch", "messages is 'Falsch'; give a mapping of codes to texts, such as"),
        ({"invalid": "x"}, "messages holds 'invalid'; give a code in capitals, such as"),
        ({5: "x"}, "messages holds 5; give a code in capitals"),
        ({"NOT_FOUND": " "}, "messages['NOT_FOUND'] is ' '; give a text"),
        ({"NOT_FOUND": None}, "messages['NOT_FOUND'] is None; give a text"),
        ({"INVALID_PASWORD": "x"}, "is no error's code; did you mean 'INVALID_PASSWORD'? If it is"),
        ({"de": {"INVALID_PASWORD": "x"}}, "messages['de'] holds 'INVALID_PASWORD', which is no"),
        ({"d": {}}, "messages['d'] is for no language; give its tag, such as 'de' or 'pt-BR'"),
        ({"de_DE": {}}, "messages['de_DE'] is for no language"),
        ({"pt-br": {}, "pt-BR": {}}, "messages['pt-BR'] is there twice"),
        ({5: {}}, "messages[5] is for no language"),
        ({"de": {"fr": {}}}, "messages['de'] holds 'fr'; give a code"),
        (
            {"PASSWORD_TOO_SHORT": "Nur {length}"},
            "['PASSWORD_TOO_SHORT'] has the field {length}, which is not in the English text; use {",
        ),
        (
            {"SERVICE_UNAVAILABLE": "Weg: {detail}"},
            "has the field {detail}, which is not in the English text; write the text without",
        ),
        ({"METHOD_NOT_ALLOWED": "Nur {methods}"}, "use {allow}"),
        ({"NO_PLACES_ARE_LEFT": "{args}"}, "has the field {args}, which is not in the English"),
    ],
)
def test_what_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        messages_of(given)
    assert message in str(caught.value)


def test_a_toml_table_gives_it() -> None:
    given = {"secret": SECRET, "messages": {"de": {"NOT_FOUND": "Nichts"}}}
    assert SessionConfig.from_mapping(given).messages == given["messages"]
