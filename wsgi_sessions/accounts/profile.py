"""What a user's name and image may be: text that shows as what it is, and a picture's URL.

And what an import may bring along.
"""

from __future__ import annotations

import re

from ..errors import InvalidValueError

MAX_NAME_LENGTH = 255
MAX_IMAGE_LENGTH = 2048
MAX_HASH_LENGTH = 512

NO_TEXT = "[\0\ud800-\udfff]"
"""The pattern of what no database stores as text."""

# Controls (Cc), line and paragraph separators, and what turns the direction of writing until it is
# ended (UAX #9, section 2): the text after such a name would be turned, too.
_CONTROLS = "[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
_NOT_IN_URLS = r"\s\0-\x20\x7f-\x9f\"<>\\^`{|}"
_IMAGE_URL = rf"(?i)https?://[^/?#{_NOT_IN_URLS}]+[^{_NOT_IN_URLS}]*"


def check_name(name: object) -> None:
    """Raise ``InvalidValueError`` for what is no line of text."""
    if re.search(_CONTROLS, check_text("name", name, max_length=MAX_NAME_LENGTH)):
        raise InvalidValueError("name holds a control character, such as a line break; send a line")


def check_image(image: object) -> None:
    """Raise ``InvalidValueError`` for what no page could show as a picture, or would run."""
    if not is_image_url(check_text("image", image, max_length=MAX_IMAGE_LENGTH)):
        raise InvalidValueError("image is no http or https URL; send one, or null")


def is_image_url(text: str) -> bool:
    """Return whether this is an absolute URL over http or https, of one host.

    >>> is_image_url("https://example.org/ada.png"), is_image_url("javascript:alert(1)")
    (True, False)
    """
    return len(text) <= MAX_IMAGE_LENGTH and re.fullmatch(_IMAGE_URL, text) is not None


def without_controls(name: str) -> str:
    """Return a name that others gave, with spaces for what ``check_name`` refuses.

    >>> without_controls("Ada\\nLovelace\\x00")
    'Ada Lovelace'
    """
    return re.sub(_CONTROLS, " ", name).strip()


def check_imported(password_hash: object, email_verified: object) -> None:
    """Raise ``InvalidValueError`` for a hash that is no text, and for a flag such as "false"."""
    if password_hash is not None:
        check_text("password_hash", password_hash, max_length=MAX_HASH_LENGTH)
    if not isinstance(email_verified, bool):
        raise InvalidValueError(f"email_verified is {email_verified!r}; give True or False")


def check_text(field: str, value: object, *, max_length: int) -> str:
    """Return what every database can store as text. Raises ``InvalidValueError``."""
    if not isinstance(value, str):
        raise InvalidValueError(f"{field} is text, not {type(value).__name__}")
    if len(value) > max_length:
        raise InvalidValueError(
            f"{field} has {len(value)} characters; at most {max_length} are taken"
        )
    if re.search(NO_TEXT, value):
        raise InvalidValueError(f"{field} holds a character that is no text (NUL or a surrogate)")
    return value
