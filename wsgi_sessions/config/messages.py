"""The setting ``messages``: what clients read in the place of our English texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .. import request_errors  # noqa: F401  whose classes are found below
from ..errors import AnswerableError, ConfigurationError, fields_in
from .fields import kind

Messages = Mapping[str, str | Mapping[str, str]]

_CODE = r"[A-Z][A-Z0-9_]*"
_LANGUAGE = r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*"
_MIN_LIKENESS = 0.9
"""Above it a code is taken for a slip of the pen; a code of the application's is seldom so near."""


@kind(
    "a mapping of codes to texts, such as {'INVALID_PASSWORD': 'Falsches Passwort'}, or of "
    "languages to such mappings, such as {'de': {…}}",
    fits=lambda value: isinstance(value, Mapping),
)
def messages(name: str, value: Mapping[Any, Any]) -> Messages:
    """Return the texts by code, and the mappings of languages under names in small letters."""
    found: dict[str, str | Mapping[str, str]] = {}
    for key, given in value.items():
        where = f"{name}[{key!r}]"
        if not isinstance(given, Mapping):
            found[key] = _text(name, key, given)
        elif isinstance(key, str) and key.lower() in found:
            raise ConfigurationError(f"{where} is there twice, as capitals make no difference")
        elif isinstance(key, str) and re.fullmatch(_LANGUAGE, key):
            found[key.lower()] = {code: _text(where, code, text) for code, text in given.items()}
        else:
            raise ConfigurationError(
                f"{where} is for no language; give its tag, such as 'de' or 'pt-BR'"
            )
    return found


def _text(name: str, code: Any, text: Any) -> str:
    """Return a text, if a code like this can have it."""
    if not isinstance(code, str) or not re.fullmatch(_CODE, code):
        raise ConfigurationError(
            f"{name} holds {code!r}; give a code in capitals, such as 'INVALID_PASSWORD', or a "
            "language with a mapping of such codes"
        )
    if not isinstance(text, str) or not text.strip():
        raise ConfigurationError(f"{name}[{code!r}] is {text!r}; give a text")
    fields: dict[str, set[str]] = {}
    for error in _answerable(AnswerableError):
        fields.setdefault(error.code, set()).update(fields_in(error.message))
    import difflib  # only settings with messages need it

    near = difflib.get_close_matches(code, fields, n=1, cutoff=_MIN_LIKENESS)
    if code not in fields and near:
        raise ConfigurationError(
            f"{name} holds {code!r}, which is no error's code; did you mean {near[0]!r}? If it is "
            "a class of your own, import that before the settings are made"
        )
    unknown = sorted(fields_in(text) - fields.get(code, fields_in(text)))
    if unknown:
        known = ", ".join(f"{{{field}}}" for field in sorted(fields[code]))
        raise ConfigurationError(
            f"{name}[{code!r}] has the field {{{unknown[0]}}}, which is not in the English text; "
            + (f"use {known}" if known else "write the text without fields")
        )
    return text


def _answerable(above: type[AnswerableError]) -> Iterator[type[AnswerableError]]:
    """Walk the classes with a code, those of the application too."""
    for error in above.__subclasses__():
        if hasattr(error, "code"):
            yield error
        yield from _answerable(error)
