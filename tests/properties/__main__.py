"""Print every search: ``python -m tests.properties [--deep] [--table] [WORD ...]``.

With words, those whose names have one of them. ``--deep``: also the long ones. ``--table``: as
a Markdown table. Ends with 1 if anything came out otherwise than it is said to. Seconds are CPU
time.
"""

from __future__ import annotations

import sys

from .searches import Search, all_searches


def main(arguments: list[str]) -> int:
    """Run the searches that are asked for."""
    options = {word for word in arguments if word.startswith("--")}
    words = [word for word in arguments if not word.startswith("--")]
    is_table = "--table" in options
    as_expected, states, seconds = True, 0, 0.0
    if is_table:
        print("| search | result | states | seconds |\n|---|---|--:|--:|")
    for given in all_searches():
        if given.is_deep and "--deep" not in options and not words:
            continue
        if words and not any(word in given.name for word in words):
            continue
        found, seen = given.run()
        is_expected = (
            (found.violation or "").startswith(given.breaks or "")
            and bool(found.violation) == bool(given.breaks)
            and found.is_complete
            and found.states >= given.least_states
            and seen >= given.must_see
        )
        as_expected = as_expected and is_expected
        states, seconds = states + found.states, seconds + found.seconds
        result = found.violation or "holds"
        if is_table:
            print(f"| {given.name} | {result} | {found.states:,} | {found.seconds:.1f} |")
        else:
            print(f"{given.name:66s} {found.states:9,d} {found.seconds:6.1f} s  {result}")
            for step in found.way:
                print(f"      {step}")
            if not is_expected:
                print(f"      NOT AS EXPECTED: {_say(given)}; seen {sorted(o.name for o in seen)}")
        sys.stdout.flush()
    print(f"\n{states:,} states, {seconds:.0f} s, {'' if as_expected else 'NOT '}as expected")
    return 0 if as_expected else 1


def _say(given: Search) -> str:
    return f"breaks {given.breaks}" if given.breaks else f"holds, {given.least_states} or more"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
