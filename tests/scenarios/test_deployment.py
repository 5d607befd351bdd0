"""What ``docs/how-to/deployment.md`` shows is run as it is shown: commands, configurations, the app."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import ssl
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from http.cookies import SimpleCookie
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.support import in_parallel
from wsgi_sessions import ConfigurationError, SessionConfig, SessionManager
from wsgi_sessions.sessions.tokens import new_secret

from .servers import (
    PASSWORD,
    PATIENCE_SECONDS,
    ROOT,
    free_port,
    fresh_database,
    stop_server,
    uwsgi_command,
)

PAGE = (ROOT / "docs" / "how-to" / "deployment.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([^`\n]+)`:\n\n```\w*\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
COMMANDS: list[str] = re.findall(r"```sh\n((?:gunicorn|waitress-serve) .*)\n```", PAGE)
SNIPPETS = [
    block
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    if block not in FILES.values()
]
HOST = "shop.example"
CLIENT_ADDRESS = "192.0.2.7"


class Site:
    """The page's files in a folder of the test, and servers that run them."""

    def __init__(self, directory: Path, database: str) -> None:
        self.directory = directory
        self.port = free_port()
        self._changes = {
            "/srv/shop/venv": sys.prefix,
            "/srv/shop": str(directory),
            "/etc/ssl/shop": str(directory),
            "0.0.0.0:8000": f"127.0.0.1:{self.port}",
            "127.0.0.1:8000": f"127.0.0.1:{self.port}",
        }
        (directory / "shop.py").write_text(FILES["/srv/shop/shop.py"])
        given = dict(line.split("=", 1) for line in FILES["/etc/shop.env"].splitlines())
        assert set(given) >= {"WSGI_SESSIONS_SECRET", "SHOP_DATABASE"}
        with pytest.raises(ConfigurationError, match="secret has"):
            SessionConfig.from_env(given)  # nobody goes into production with the page's own
        own = {"WSGI_SESSIONS_SECRET": new_secret(), "SHOP_DATABASE": database}
        self.environment = {**os.environ, **given, **own}

    def fit(self, text: str, changes: Mapping[str, str] | None = None) -> str:
        """Return a text of the page with the folders and ports of this test."""
        for shown, used in {**(changes or {}), **self._changes}.items():
            text = text.replace(shown, used)
        return text

    def certify(self) -> ssl.SSLContext:
        """Make a certificate for the site; return what trusts it and nothing else."""
        key, certificate = self.directory / "privkey.pem", self.directory / "fullchain.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={HOST}"),
                *("-addext", f"subjectAltName=DNS:{HOST}"),
            ],
            capture_output=True,
            check=True,
        )
        return ssl.create_default_context(cafile=str(certificate))

    @contextmanager
    def running(self, command: list[str]) -> Iterator[None]:
        """Run a server until the end of the block."""
        log = self.directory / "log"
        with log.open("ab") as said:
            process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=self.environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            try:
                yield
            except BaseException:
                print(log.read_text(errors="replace"))
                raise
            finally:
                stop_server(process)

    @contextmanager
    def running_shown(self, shown: str) -> Iterator[None]:
        """Run one of the page's commands, which names a program of a virtual environment."""
        program, *options = shlex.split(self.fit(shown))
        module = {"gunicorn": "gunicorn", "waitress-serve": "waitress"}[Path(program).name]
        if "gevent" in options and find_spec("gevent") is None:
            pytest.skip("gevent is not installed; it comes with the extra dev")
        with self.running([sys.executable, "-m", module, *options]):
            yield


class Client:
    """A browser at the site; where the test is the proxy, with the headers that nginx sets."""

    def __init__(self, port: int, trust: ssl.SSLContext | None = None) -> None:
        self.port = port
        self.trust = trust
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, value: Any = None) -> tuple[int, Any]:
        """Send a request, keep the cookies, and return status and JSON."""
        is_https = self.trust is not None
        host = f"{HOST}:{self.port}" if is_https else HOST
        headers = {
            "Host": host,
            "Origin": f"https://{host}",
            "Content-Type": "application/json",
            "X-Forwarded-For": "198.51.100.66" if is_https else CLIENT_ADDRESS,
            "X-Forwarded-Proto": "http" if is_https else "https",
            "Forwarded": "for=198.51.100.66;proto=http;host=forged.test",
            "Cookie": "; ".join(f"{name}={text}" for name, text in self.cookies.items()),
        }
        if not self.cookies:
            del headers["Cookie"]
        body = None if value is None else json.dumps(value).encode()
        with closing(self._connect()) as connection:
            connection.request(method, path, body, headers)
            with connection.getresponse() as response:
                text = response.read()
                for line in response.headers.get_all("Set-Cookie", []):
                    assert "Secure" in line
                    for name, morsel in SimpleCookie(line).items():
                        self.cookies[name] = morsel.value
                return response.status, json.loads(text) if text.startswith(b"{") else text

    def sign_up(self, email: str) -> None:
        given = {"name": "Ada", "email": email, "password": PASSWORD}
        status, told = self.ask("POST", "/api/auth/sign-up/email", given)
        assert status == 200, told

    def _connect(self) -> http.client.HTTPConnection:
        if self.trust is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        return TrustingConnection("127.0.0.1", self.port, self.trust)


class TrustingConnection(http.client.HTTPSConnection):
    """Looks for the site at an address of this machine."""

    def __init__(self, address: str, port: int, trust: ssl.SSLContext) -> None:
        super().__init__(address, port, timeout=PATIENCE_SECONDS, context=trust)
        self._trust = trust

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._trust.wrap_socket(self.sock, server_hostname=HOST)


def tell_story(port: int, address: str, trust: ssl.SSLContext | None = None) -> None:
    """Sign people up, in and out, and many of them ask at once."""
    wait_for(port, trust)
    people = [f"{number}@example.org" for number in range(3)]
    clients = {email: Client(port, trust) for email in people}
    for email, client in clients.items():
        client.sign_up(email)
        assert "__Host-session_token" in client.cookies

    def ask(number: int) -> tuple[str, int, Any]:
        email = people[number % 3]
        return (email, *clients[email].ask("GET", "/"))

    seen = in_parallel(ask, 24)
    wrong = [one for one in seen if one[1:] != (200, {"user": one[0], "address": address})]
    signed_out = clients[people[0]].ask("POST", "/api/auth/sign-out", {})
    again = clients[people[0]].ask(
        "POST", "/api/auth/sign-in/email", {"email": people[0], "password": PASSWORD}
    )

    assert not wrong
    assert (signed_out[0], again[0]) == (200, 200)
    assert clients[people[0]].ask("GET", "/")[1]["user"] == people[0]


def wait_for(port: int, trust: ssl.SSLContext | None) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    answer: Any = None
    while time.monotonic() < deadline:
        # What stands before it may be there sooner.
        with suppress(OSError, http.client.HTTPException):
            answer = Client(port, trust).ask("GET", "/api/auth/ok")
            if answer[0] == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"no server came: {answer}")


@pytest.fixture(params=["postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with fresh_database(request.param, tmp_path) as database:
        yield Site(tmp_path, database)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_runs_as_shown(command: str, site: Site) -> None:
    with site.running_shown(command):
        tell_story(site.port, CLIENT_ADDRESS)


@pytest.mark.parametrize("site", ["mariadb", "sqlite"], indirect=True)
def test_gevent_runs_with_every_driver(site: Site) -> None:
    [command] = [command for command in COMMANDS if "gevent" in command]
    with site.running_shown(command):
        tell_story(site.port, CLIENT_ADDRESS)


def test_every_block_of_the_page_is_used_here() -> None:
    assert PAGE.count("\n```\n") == len(FILES) + len(COMMANDS) + len(SNIPPETS)
    assert set(FILES) == {
        "/srv/shop/shop.py",
        "/etc/shop.env",
        "/srv/shop/uwsgi.ini",
        "/etc/apache2/sites-available/shop.conf",
        "/etc/nginx/sites-available/shop",
        "/etc/systemd/system/shop.service",
        "Dockerfile",
        "requirements.txt",
    }


def test_tables_are_brought_up_to_date_and_hosts_given_as_shown(tmp_path: Path) -> None:
    with_several_hosts, upgrade = SNIPPETS
    url = f"sqlite:///{tmp_path}/shop.db"
    manager = SessionManager(url, secret=new_secret(), auto_migrate=False)
    manager.create_tables()
    names: dict[str, Any] = {"manager": manager}
    exec(upgrade, names)
    assert names["status"].version == names["status"].needed
    manager.close()

    names = {"SessionManager": SessionManager, "SECRET": new_secret()}
    exec(with_several_hosts, names)
    assert names["manager"].database.connect_params["host"] == "db1,db2"


def test_the_container_installs_what_there_is() -> None:
    extras = metadata("wsgi-sessions").get_all("Provides-Extra")
    shown = [Requirement(line) for line in FILES["requirements.txt"].splitlines()]

    assert [one.name for one in shown] == ["gunicorn", "wsgi-sessions"]
    assert shown[1].extras <= set(extras or ())


def test_every_way_to_run_gunicorn_and_waitress_is_shown() -> None:
    assert Counter(command.split()[0] for command in COMMANDS) == {
        "gunicorn": 4,
        "waitress-serve": 1,
    }


def test_uwsgi_runs_as_shown(site: Site) -> None:
    (site.directory / "uwsgi.ini").write_text(site.fit(FILES["/srv/shop/uwsgi.ini"]))
    with site.running([uwsgi_command()[0], "--ini", "uwsgi.ini", f"--pythonpath={ROOT}"]):
        tell_story(site.port, CLIENT_ADDRESS)


def test_nginx_stands_before_gunicorn_as_shown(site: Site) -> None:
    nginx = find_program("nginx", "nginx")
    trust = site.certify()
    port = free_port()
    shown = site.fit(
        FILES["/etc/nginx/sites-available/shop"], {"listen 443 ssl": f"listen 127.0.0.1:{port} ssl"}
    )
    folder = site.directory
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Run as root it would become another user, who can't enter the test's folder.
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{places}{shown}}}\n"
    )
    with ExitStack() as stack:
        stack.enter_context(site.running_shown(service_command()))
        stack.enter_context(site.running([nginx, "-c", f"{folder}/nginx.conf", "-e", "stderr"]))
        # What the client claims of itself is not believed: it comes from this machine.
        tell_story(port, "127.0.0.1", trust)


def test_apache_runs_mod_wsgi_as_shown(site: Site) -> None:
    apache = find_program("apache2", "apache2")
    module = find_mod_wsgi()
    check_python_is_open_to_all()
    trust = site.certify()
    port = free_port()
    folder = site.directory
    shown = site.fit(
        FILES["/etc/apache2/sites-available/shop.conf"], {"*:443": f"127.0.0.1:{port}"}
    ).replace(f"python-path={folder}", f"python-path={folder}:{ROOT}")
    modules = "".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
        for name in ("mpm_event", "authz_core", "ssl", "socache_shmcb")
    )
    (folder / "httpd.conf").write_text(
        f"{modules}LoadModule wsgi_module {module}\n"
        f"ServerRoot {folder}\nServerName localhost\nPidFile {folder}/pid\n"
        f"DefaultRuntimeDir {folder}\nMutex file:{folder}\nWSGISocketPrefix {folder}/wsgi\n"
        f"ErrorLog /dev/stderr\nListen 127.0.0.1:{port}\n{shown}"
    )
    del site.environment["WSGI_SESSIONS_TRUSTED_PROXIES"]
    assert "leave `WSGI_SESSIONS_TRUSTED_PROXIES` out" in PAGE
    with site.running([*as_somebody(), apache, "-DFOREGROUND", "-f", f"{folder}/httpd.conf"]):
        tell_story(port, "127.0.0.1", trust)


def test_systemd_takes_the_unit_and_its_command_runs(site: Site) -> None:
    analyze = find_program("systemd-analyze", "systemd")
    unit = FILES["/etc/systemd/system/shop.service"]
    (site.directory / "shop.env").touch()
    program = site.directory / "gunicorn"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    verified = site.directory / "shop.service"
    verified.write_text(
        unit.replace("/srv/shop/venv/bin/gunicorn", str(program))
        .replace("User=shop", "User=daemon")
        .replace("Group=shop", "Group=daemon")
    )

    run = subprocess.run(
        [analyze, "verify", "--man=no", str(verified)], capture_output=True, text=True, check=False
    )

    complaints = [line for line in run.stderr.splitlines() if "shop.service" in line]
    assert (run.returncode, complaints) == (0, [])
    with site.running_shown(service_command()):
        tell_story(site.port, CLIENT_ADDRESS)


def test_dockerfile_has_known_instructions_and_its_command_runs(site: Site) -> None:
    instructions = [tuple(line.split(" ", 1)) for line in FILES["Dockerfile"].splitlines() if line]
    names = [name for name, _ in instructions]
    known = {"FROM", "RUN", "WORKDIR", "COPY", "USER", "EXPOSE", "STOPSIGNAL", "CMD"}
    assert set(names) <= known
    assert (names[0], names[-1]) == ("FROM", "CMD")
    assert names.index("USER") > max(at for at, name in enumerate(names) if name == "RUN")
    command = json.loads(instructions[-1][1])
    with site.running_shown(shlex.join(command)):
        tell_story(site.port, CLIENT_ADDRESS)


def service_command() -> str:
    [line] = re.findall(
        r"^ExecStart=(.*)$", FILES["/etc/systemd/system/shop.service"], re.MULTILINE
    )
    return str(line)


def as_somebody() -> list[str]:
    """Return what runs a program as anybody but root, who may still read the test's folders."""
    if os.geteuid() != 0:
        return []
    rights = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return ["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups", *rights]


def check_python_is_open_to_all() -> None:
    """Skip where another account may not see this Python: mod_wsgi asks by ``access(2)``.

    What ``as_somebody`` may read does not count there: the call leaves the rights out.
    """
    for folder in [Path(sys.prefix), *Path(sys.prefix).parents]:
        if not folder.stat().st_mode & stat.S_IXOTH:
            pytest.skip(f"Apache runs as another account, which may not enter {folder}")


def find_program(name: str, package: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: {package})")
    return found


def find_mod_wsgi() -> str:
    """Return the module that was built for this Python."""
    found = find_spec("mod_wsgi")
    if found is None:
        pytest.skip(
            "mod_wsgi is not installed for this Python; with apache2-dev: pip install mod_wsgi"
        )
    folders = [Path(folder) for folder in found.submodule_search_locations or ()]
    [module] = [module for folder in folders for module in folder.glob("**/mod_wsgi-*.so")]
    return str(module)
