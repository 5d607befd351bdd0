"""The npm client meets the throttle and the limit of sessions."""

from __future__ import annotations

from pathlib import Path

from .service import Node, serving
from .test_better_auth_client import EMAIL, Device


def test_too_many_tries_are_told_when_to_come_back(tmp_path: Path) -> None:
    with serving(tmp_path, throttle={"tries": 3, "window": 60}) as service:
        node = Node(service.url)
        laptop = Device(node, "laptop")
        wrong = {"email": EMAIL, "password": "wrong horse"}
        for _ in range(3):
            assert laptop.refused("signIn.email", wrong)[0] == 401
        assert laptop.refused("signIn.email", wrong) == (429, "TOO_MANY_REQUESTS")
        service.advance(61)
        assert laptop.refused("signIn.email", wrong)[0] == 401
        node.close()


def test_the_sixth_device_is_refused_where_the_limit_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, multi_session={"on_limit": "reject"}) as service:
        node = Node(service.url)
        devices = [Device(node, f"device {number}") for number in range(6)]
        devices[0].sign_up()
        for device in devices[1:5]:
            device.sign_in()
        body = {"email": EMAIL, "password": "correct horse"}
        assert devices[5].refused("signIn.email", body) == (409, "SESSION_LIMIT_REACHED")
        assert all(device.find_session() is not None for device in devices[:5])
        node.close()
