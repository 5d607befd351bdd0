"""``python -m tests.benchmarks.guessing``: ten thousand wrong passwords, and who still gets in.

Twenty guesses a second by the fake clock, from one address, from one IPv6 /48, and from a thousand
networks. Meanwhile people sign in with the right password. Prints a row for ``docs/security.md``
for each attack; takes some minutes.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections import Counter
from collections.abc import Iterator

from tests.api.client import CHEAP, EMAIL, PASSWORD, Client
from tests.support import new_clock
from wsgi_sessions import SessionManager

GUESSES = 10_000
GUESSES_A_SECOND = 20
GUESSES_BETWEEN_SIGN_INS = 200
COLLEAGUE = "bob@example.org"

ATTACKS: dict[str, Iterator[str]] = {
    "one address": itertools.repeat("203.0.113.66"),
    "one IPv6 /48": (f"2001:db8:bad:{n % 65_536:x}::{n:x}" for n in itertools.count(1)),
    "1000 networks": (f"100.{64 + n % 1000 // 250}.{n % 250}.66" for n in itertools.count()),
}


def sign_in(client: Client, *, address: str, email: str = EMAIL, password: str = PASSWORD) -> int:
    """Send a sign-in from an address; return the status of its answer."""
    payload = json.dumps({"email": email, "password": password}).encode()
    return client.send("POST", "/sign-in/email", payload=payload, REMOTE_ADDR=address).status


def attack(addresses: Iterator[str]) -> tuple[Counter[int], dict[str, Counter[int]]]:
    """Return how the guesses were answered, and how each of those who know the password was."""
    clock = new_clock()
    manager = SessionManager(
        "sqlite:///:memory:",
        clock=clock,
        secret="a secret for benchmarks, long enough",
        password=CHEAP,
    )
    device = Client(manager, address="198.51.100.7")
    device.sign_up()
    Client(manager).sign_up(email=COLLEAGUE)
    guesses: Counter[int] = Counter()
    owners: dict[str, Counter[int]] = {}
    attacker = Client(manager)
    for count, address in zip(range(GUESSES), addresses, strict=False):
        clock.advance(seconds=1 / GUESSES_A_SECOND)
        guesses[sign_in(attacker, address=address, password=f"wrong horse {count}")] += 1
        if count % GUESSES_BETWEEN_SIGN_INS == GUESSES_BETWEEN_SIGN_INS - 1:
            answers = {
                "known device": sign_in(device, address="198.51.100.7"),
                "known device, in the attacker's network": sign_in(device, address=address),
                "new device": sign_in(Client(manager), address="192.0.2.9"),
                "colleague, in the attacker's network": sign_in(
                    Client(manager), address=address, email=COLLEAGUE
                ),
            }
            for who, status in answers.items():
                owners.setdefault(who, Counter())[status] += 1
    manager.close()
    return guesses, owners


def main() -> None:
    logging.disable()  # it would have a line for each guess
    for name, addresses in ATTACKS.items():
        guesses, owners = attack(addresses)
        compared = guesses[401]
        cells = [f"{owners[who][200]} of {owners[who].total()}" for who in owners]
        if not guesses.keys() <= {401, 429}:
            print(f"unexpected answers: {dict(guesses)}")
        print(f"| {name} | {compared} | {guesses[429]} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
