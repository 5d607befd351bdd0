"""Each example starts by its command, and keeps what it keeps in the working folder alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "frameworks"

START = """
import io, runpy, sys
from wsgiref.util import setup_testing_defaults

sys.path.insert(0, sys.argv[1].rpartition("/")[0])
import serving

def ask(app, **_):
    sign_up = b'{"name": "Ada", "email": "ada@example.org", "password": "correct horse"}'
    for method, path, body in (("GET", "/", b""), ("POST", "/api/auth/sign-up/email", sign_up)):
        environ = {"HTTP_HOST": "127.0.0.1", "REQUEST_METHOD": method, "PATH_INFO": path}
        environ |= {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body))}
        environ["wsgi.input"] = io.BytesIO(body)
        setup_testing_defaults(environ)
        answer = app(environ, lambda status, headers, exc_info=None: print(status))
        print(b"".join(answer).decode())

serving.serve = ask
if sys.argv[1].endswith("flask_app.py"):
    import flask
    flask.Flask.run = ask
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def listing(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "__pycache__"}


@pytest.mark.parametrize("name", ["bottle", "django", "falcon", "flask", "paste.deploy", "pyramid"])
def test_an_example_starts_in_an_empty_folder(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name)
    example = EXAMPLES / f"{name.partition('.')[0]}_app.py"
    before = listing(EXAMPLES)
    command = [sys.executable, "-W", "ignore", "-c", START, str(example)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.count("200 OK\n") == 2
    assert "<h1>Sign in</h1>" in done.stdout
    assert listing(tmp_path) == {"frameworks-data"}
    assert listing(tmp_path / "frameworks-data") >= {"sessions.db", "secret"}
    assert listing(EXAMPLES) == before
