"""``judge`` with one rule left out or put otherwise, by its source text.

A text that is no longer there is an error.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from wsgi_sessions.sessions import policy

from .relative import Judge

_SETTLES_ON_A_SIBLING = "return Outcome.REPLAY if record.is_settled else Outcome.SETTLE"
_OWN_TOKEN_DOES_NOT_SETTLE = (
    "            return Outcome.SETTLE\n        if may_catch_up and",
    "            return Outcome.CURRENT\n        if may_catch_up and",
)
_UNSETTLED_ONES_ARE_OFFERED = ("    elif confirms or is_settled:\n", "    else:\n")

MUTATIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "no grace": (
        (
            "        if since_ms < config.rotation_grace_ms:\n            return Outcome.GRACE\n",
            "",
        ),
    ),
    "a grace that does not end": (
        ("        if since_ms < config.rotation_grace_ms:\n", "        if True:\n"),
    ),
    "no catch-up": (("        if may_catch_up:\n            return Outcome.CATCH_UP\n", ""),),
    "catch-ups without a bound": (
        (
            "may_catch_up = not (record.is_settled or record.caught_up)",
            "may_catch_up = not record.is_settled",
        ),
    ),
    "a take-over that is not noted": (
        ("caught_up=takes_over or (bool(record.caught_up)", "caught_up=(bool(record.caught_up)"),
    ),
    "a take-over after the settling": (
        ("if may_catch_up and token.is_catch_up:", "if token.is_catch_up:"),
    ),
    "a take-over that leaves confirmed_at": (
        ("now_ms if confirms or takes_over else record", "now_ms if confirms else record"),
    ),
    "a confirmation that leaves caught_up": (
        ("(bool(record.caught_up) and not confirms)", "bool(record.caught_up)"),
    ),
    "a confirmation that leaves is_settled": (
        ("and not (confirms or takes_over)),", "and not takes_over),"),
    ),
    "siblings are replays after the window": ((_SETTLES_ON_A_SIBLING, "return Outcome.REPLAY"),),
    "siblings take over always": ((_SETTLES_ON_A_SIBLING, "return Outcome.SETTLE"),),
    "the token that counts does not settle": (_OWN_TOKEN_DOES_NOT_SETTLE,),
    "one sibling takes over once, and nothing else settles": (
        _OWN_TOKEN_DOES_NOT_SETTLE,
        _UNSETTLED_ONES_ARE_OFFERED,
    ),
    "cookies before it is settled": (
        ("        is_settled and not _is_pause(", "        not _is_pause("),
        _UNSETTLED_ONES_ARE_OFFERED,
    ),
    "any token of the generation before": (
        (" and record.branch_before in (None, token.branch)", ""),
    ),
    "the one before is the stored one, settled or not": (
        (
            "follows = record.is_settled and token.generation == record.generation + 1",
            "follows = token.generation == record.generation + 1",
        ),
    ),
    "long bodies settle": (
        (
            "config.upload_grace_ms if has_long_body else config.rotation_window_ms",
            "config.rotation_window_ms",
        ),
    ),
    "long bodies are no later than others": (
        (
            "        if has_long_body and since_ms < config.upload_grace_ms:\n",
            "        if False:\n",
        ),
    ),
    "no pause before a rotation": (
        (
            "is_settled and not _is_pause(rotation_due_ms, now_ms=now_ms, config=config)",
            "is_settled",
        ),
    ),
    "a pause that does not end where nothing rotates": (
        (
            "    if due_ms is None:\n        return False\n    offered_from_ms",
            "    if due_ms is None:\n        return True\n    offered_from_ms",
        ),
    ),
    "no offer before it is due": (("offered_from_ms -= config.rotation_grace_ms", "pass"),),
    "no offer": (("offer = Offer(record.generation + 1)", "offer = None"),),
    "siblings and late ones do not touch": (
        (
            "    touches = has_passed(",
            "    touches = outcome not in {Outcome.GRACE, Outcome.LATE} and has_passed(",
        ),
    ),
    "no refresh": (("        may_repeat\n        and record.remember\n", "        False\n"),),
    "a refresh with each request": (
        ("        and has_passed(_refresh_due_ms(record, config=config), now_ms)\n", ""),
    ),
    "a confirmation prolongs what is not remembered": (
        ("        and record.remember\n", "        and (record.remember or confirms)\n"),
    ),
    "an expiry that is not looked at": (("    if limit is not None:\n", "    if False:\n"),),
    "an end that is not looked at": (
        (
            "    if record.ended_at_ms is not None:\n        return D",
            "    if False:\n        return D",
        ),
    ),
    "reading only writes": (("    if not allow_refresh:\n", "    if False:\n"),),
}
"""What is left out or put otherwise: texts of ``policy.py``, and what takes their place."""


def mutated_judge(name: str) -> Judge:
    """Return the ``judge`` of a copy of ``policy`` with the changes of a mutation."""
    path = Path(policy.__file__)
    text = path.read_text(encoding="utf-8")
    for old, new in MUTATIONS[name]:
        assert text.count(old) == 1, f"{name}: not once in {path.name}: {old!r}"
        text = text.replace(old, new)
    module = ModuleType(policy.__name__)
    module.__package__ = policy.__package__
    exec(compile(text, f"<{path.name}: {name}>", "exec"), module.__dict__)
    judge: Judge = module.judge
    return judge
