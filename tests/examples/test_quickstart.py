"""The quickstart as a visitor meets it: real gunicorn, real forms, one cookie jar a browser."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPErrorProcessor, Request, build_opener

import pytest

from .test_password_fields import has_fields_for_passwords_as_they_should_be

pytest.importorskip("gunicorn")

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.py"
PATIENCE_SECONDS = 60

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
)
PASSWORD = "correct horse"


class Page(NamedTuple):
    status: int
    text: str
    headers: http.client.HTTPMessage


class Refusals(HTTPErrorProcessor):
    """Hands back what urllib would raise for, but follows redirects."""

    def http_response(self, request: Request, response: http.client.HTTPResponse) -> object:
        try:
            return super().http_response(request, response)
        except HTTPError as error:
            return error


class Visitor:
    """One browser: a cookie jar and a User-Agent."""

    def __init__(self, url: str, *, user_agent: str = FIREFOX) -> None:
        self.url = url
        self.jar = CookieJar()
        self._opener = build_opener(HTTPCookieProcessor(self.jar), Refusals)
        self._opener.addheaders = [("User-Agent", user_agent)]

    def open(self, path: str = "/") -> Page:
        return self._fetch(Request(self.url + path))

    def send(self, path: str, *, origin: str | None = None, **fields: str) -> Page:
        request = Request(self.url + path, urlencode(fields).encode())
        request.add_header("Origin", self.url if origin is None else origin)
        return self._fetch(request)

    def sign_up(self, email: str, *, name: str = "Ada Lovelace") -> Page:
        return self.send("/sign-up", name=name, email=email, password=PASSWORD)

    def sign_in(self, email: str, *, password: str = PASSWORD) -> Page:
        return self.send("/sign-in", email=email, password=password, remember="on")

    def _fetch(self, request: Request) -> Page:
        with self._opener.open(request, timeout=PATIENCE_SECONDS) as response:
            return Page(response.status, response.read().decode(), response.headers)


@contextmanager
def serving(data: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start the quickstart on a free port and yield its URL once it answers."""
    command = [sys.executable, str(QUICKSTART), "--port", "0", "--data", str(data), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        too_late = threading.Timer(PATIENCE_SECONDS, process.kill)
        too_late.start()
        try:
            said = re.search(r"http://\S+", process.stdout.readline())
            if said is None:
                process.kill()
                pytest.fail(f"the quickstart did not start: {process.communicate()[1]}")
            yield said[0], process
        finally:
            too_late.cancel()
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.communicate(timeout=PATIENCE_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("quickstart") / "data") as (found, _process):
        yield found


def test_from_sign_up_to_sign_out_with_a_second_device(url: str) -> None:
    laptop, phone = Visitor(url), Visitor(url, user_agent=SAFARI)
    assert "Sign up" in laptop.open().text
    assert has_fields_for_passwords_as_they_should_be(laptop.open().text)

    page = laptop.sign_up("ada@example.org")
    assert page.status == 200
    assert "Hello, <bdi>Ada Lovelace</bdi>" in page.text
    assert "ada@example.org" in page.text
    assert "Firefox on Linux" in page.text
    assert "in 7 days" in page.text
    assert "generation 0" in page.text
    assert "127.0.0.1" in page.text

    assert "Hello, <bdi>Ada Lovelace</bdi>" in phone.sign_in("ada@example.org").text
    page = laptop.open()
    assert "Safari on iPhone" in page.text

    [phone_session] = re.findall(r'name="session" value="([\w-]{24})"', page.text)
    page = laptop.send("/sessions/end", session=phone_session)
    assert "That session has ended." in page.text
    assert "Safari on iPhone" not in page.text
    assert "ended from another one" in phone.open().text

    phone.sign_in("ada@example.org")
    assert "Safari on iPhone" not in laptop.send("/sessions/end-others").text
    assert "Hello" not in phone.open().text

    page = laptop.send("/sign-out")
    assert "You are signed out." in page.text
    assert [cookie.name for cookie in laptop.jar] == ["known_device"]
    assert "Hello" not in laptop.open().text


def test_refusals_are_told_in_words_beside_the_form(url: str) -> None:
    visitor = Visitor(url)
    page = visitor.sign_in("nobody@example.org", password="wrong password")
    assert page.status == 422
    assert "Invalid email or password." in page.text
    assert 'value="nobody@example.org"' in page.text
    assert "wrong password" not in page.text
    page = visitor.send("/sign-up", name="Ada", email="short@example.org", password="short")
    assert page.status == 422
    assert 'aria-describedby="up-problem"' in page.text


def test_a_forgotten_password_is_set_anew_by_the_printed_link(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as (url, process):
        laptop, phone = Visitor(url), Visitor(url)
        laptop.sign_up("ada@example.org")
        page = phone.send("/forgotten", email="ada@example.org")
        assert "a link is on its way" in page.text
        assert page.text.replace("ada", "eve") == phone.send(
            "/forgotten", email="eve@example.org"
        ).text.replace("ada", "eve")
        assert process.stdout is not None
        link = re.fullmatch(
            rf"Mail to ada@example\.org: reset-password {url}(/new-password\?token=([\w-]+))\n",
            process.stdout.readline(),
        )
        assert link is not None

        assert f'value="{link[2]}"' in phone.open(link[1]).text
        page = phone.send("/new-password", token=link[2], password="short")
        assert (page.status, page.text.count(link[2])) == (422, 1)
        assert "Password too short" in page.text
        page = phone.send("/new-password", token=link[2], password="another horse")
        assert "Your new password is set" in page.text
        assert "Your password was changed" in laptop.open().text
        assert "Hello" in phone.sign_in("ada@example.org", password="another horse").text
        page = phone.send("/new-password", token=link[2], password="a third horse")
        assert "Ask for a new link" in page.text


def test_what_people_type_is_escaped(url: str) -> None:
    page = Visitor(url, user_agent="<i>agent</i>").sign_up(
        "escaped@example.org", name='"><script>alert(1)</script>'
    )
    assert "&lt;script&gt;" in page.text
    assert "<script" not in page.text
    assert "<i>" not in page.text


def test_another_site_can_neither_sign_in_nor_act(url: str) -> None:
    visitor = Visitor(url)
    visitor.sign_up("target@example.org")
    for path in ("/sign-in", "/sign-out", "/sessions/end-others"):
        assert visitor.send(path, origin="https://evil.example").status == 403
        assert visitor.send(path, origin="null").status == 403
    assert "Hello" in visitor.open().text


def test_pages_run_no_foreign_code_and_stay_out_of_caches(url: str) -> None:
    headers = Visitor(url).open().headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["Vary"] == "Cookie"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/sign-in", 405),
        ("GET", "/new-password", 200),
        ("PUT", "/new-password", 405),
        ("DELETE", "/", 405),
        ("HEAD", "/", 200),
        ("GET", "/style.css", 200),
        ("GET", "/%ff?notice=%ff", 404),
    ],
)
def test_every_path_and_method_gets_its_answer(
    url: str, method: str, path: str, status: int
) -> None:
    page = _ask(url, method, path)
    assert page.status == status
    assert "Traceback" not in page.text


@pytest.mark.parametrize(
    "form",
    ["a" * 20_000, "&".join(f"field{number}=1" for number in range(50))],
    ids=["too long", "too many fields"],
)
def test_large_forms_are_refused(url: str, form: str) -> None:
    headers = {"Origin": url, "Content-Type": "application/x-www-form-urlencoded"}
    assert _ask(url, "POST", "/sign-in", form, headers).status == 413


def test_the_json_api_shows_the_same_session(url: str) -> None:
    visitor = Visitor(url)
    assert visitor.open("/api/auth/get-session").text == "null"
    visitor.sign_up("json@example.org")
    assert '"email":"json@example.org"' in visitor.open("/api/auth/get-session").text


def test_sessions_outlive_a_restart_and_the_secret_is_the_owners_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as (first_url, process):
        visitor = Visitor(first_url)
        visitor.sign_up("restart@example.org")
        process.send_signal(signal.SIGINT)
        printed, complaints = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, printed) == (0, "Stopped.\n")
    assert "Traceback" not in complaints
    secret = data / "secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert [path.name for path in data.glob("secret*")] == ["secret"]
    before = secret.read_text()

    with serving(data) as (second_url, _process):
        visitor.url = second_url  # cookies know no ports
        assert "Hello" in visitor.open().text
    assert secret.read_text() == before


def test_a_secret_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x0123456789abcdef" * 2)
    secret.chmod(0o644)
    refused = _start_in_vain("--port", "0", "--data", str(tmp_path))
    assert refused.returncode == 1
    assert "chmod 600" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = _start_in_vain("--port", port, "--data", str(tmp_path / "data"))
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert port in refused.stderr
    assert "--port" in refused.stderr
    assert not (tmp_path / "data").exists()


def test_the_examples_of_its_words_hold() -> None:
    words = QUICKSTART.parent / "quickstart_site" / "words.py"
    subprocess.run([sys.executable, "-m", "doctest", str(words)], check=True)


def _start_in_vain(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(QUICKSTART), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def _ask(
    url: str, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
) -> Page:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Page(answer.status, answer.read().decode(), answer.headers)
    finally:
        connection.close()
