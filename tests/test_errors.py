"""What people read of a refusal: one message for a code, in plain English."""

from __future__ import annotations

import copy
import pickle

import pytest

from wsgi_sessions import RefusedError, StoreUnavailableError, errors
from wsgi_sessions.errors import AnswerableError, InvalidValueError, fields_in

from .refusals import error_classes, make_error

KINDS = error_classes()
IN_OWN_WORDS = [InvalidValueError, errors.SignUpRefusedError]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_of_a_message_has_a_value(kind: type[AnswerableError]) -> None:
    error = make_error(kind)
    said = error.fill_in(error.message)
    assert not fields_in(said)
    assert said[0].isupper() or kind in (*IN_OWN_WORDS, errors.IdTokenNotSupportedError)


def test_only_a_wrong_value_and_the_applications_refusal_have_words_of_their_own() -> None:
    """Of all others the code says what there is to say, and a translation says it as well."""
    assert [kind for kind in KINDS if "{detail}" in kind.message] == IN_OWN_WORDS
    assert str(InvalidValueError("name is missing")) == "name is missing"


def test_a_detail_is_for_developers() -> None:
    error = errors.InvalidEmailError("no @")
    assert (str(error), error.detail) == ("Invalid email", "no @")
    assert repr(error) == "InvalidEmailError('no @')"


def test_the_reason_of_an_outage_is_for_the_log() -> None:
    error = StoreUnavailableError("no route to db-17 as admin")
    assert str(error) == "no route to db-17 as admin"
    assert error.fill_in(error.message) == "The service is away for a moment. Please try again."


class SoldOutError(RefusedError):
    code = "SOLD_OUT"


class NoPlacesError(RefusedError):
    code = "NO_PLACES"
    message = "Only {left} places are left."

    def __init__(self, left: int) -> None:
        self.left = left


def test_a_class_of_the_applications_says_what_it_is_raised_with() -> None:
    assert str(SoldOutError("Try again on Monday.")) == "Try again on Monday."
    assert str(SoldOutError()) == "Sold out"


def test_a_class_of_the_applications_may_have_a_message_with_fields() -> None:
    assert str(NoPlacesError(3)) == "Only 3 places are left."


@pytest.mark.parametrize("value", ["{code}", "{left}", "{0}", "{}", "{", "{__class__}"])
def test_what_a_client_sent_is_shown_as_it_is(value: str) -> None:
    assert str(SoldOutError(value)) == value
    assert str(errors.FieldNotAllowedError(value)).endswith(f": {value}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_copy_says_the_same(kind: type[AnswerableError]) -> None:
    error = make_error(kind)
    for same in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (str(same), vars(same)) == (str(error), vars(error))
