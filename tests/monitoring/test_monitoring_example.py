"""The example of monitoring: two workers read as one, and queries for metrics that are exported."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.docs.pages import ROOT
from tests.scenarios.servers import PATIENCE_SECONDS, free_port
from wsgi_sessions.events import EVENT_KINDS
from wsgi_sessions.monitoring.catalog import METRICS, prometheus_name

FOLDER = ROOT / "examples" / "monitoring"
TOKEN = "a token for the tests"
ALERTS = yaml.safe_load((FOLDER / "alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
QUERIES = [
    *((rule["alert"], rule["expr"]) for rule in RULES),
    *(
        (panel["title"], target["expr"])
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    ),
]


class Site:
    """The example under gunicorn, and its metrics."""

    def __init__(self, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.counts = folder / "metrics"
        environ = {
            **os.environ,
            "WSGI_SESSIONS_SECRET": "s0123456789abcdef" * 2,
            "METRICS_TOKEN": TOKEN,
            "DATABASE_URL": f"sqlite:///{folder}/app.db",
            "PROMETHEUS_MULTIPROC_DIR": str(self.counts),
        }
        bind = self.url.removeprefix("http://")
        command = ["gunicorn", "--config", "gunicorn.conf.py", "--bind", bind]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command, "monitored:application"],
                cwd=FOLDER,
                env=environ,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        return self.send(Request(self.url + path, headers=headers))

    def sign_up(self, number: int) -> int:
        body = {"name": "Ada", "email": f"ada{number}@example.org", "password": "correct horse"}
        headers = {"Content-Type": "application/json", "Origin": self.url}
        request = Request(f"{self.url}/api/auth/sign-up/email", json.dumps(body).encode(), headers)
        return self.send(request)[0]

    @staticmethod
    def send(request: Request) -> tuple[int, str]:
        try:
            with urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def scrape(self) -> dict[tuple[str, ...], float]:
        """Return each sample by its name and the values of its labels."""
        status, text = self.get("/metrics", Authorization=f"Bearer {TOKEN}")
        assert status == 200
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def workers(self) -> list[int]:
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in found.split()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("monitored")
    site = Site(folder)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with suppress(URLError):
            if site.get("/health")[0] == 200 and len(site.workers()) == 2:
                break
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.05)
    yield site
    site.process.terminate()
    site.process.wait(PATIENCE_SECONDS)


def test_the_health_check_is_for_everybody(site: Site) -> None:
    assert site.get("/health") == (200, '{"status": "ok"}')


def test_the_metrics_are_not(site: Site) -> None:
    assert site.get("/metrics")[0] == 401
    assert site.get("/metrics", Authorization="Bearer guessed")[0] == 401


def test_two_workers_are_read_as_one(site: Site) -> None:
    before = site.scrape()
    for number in range(8):
        assert site.sign_up(number) == 200
    for _ in range(40):
        assert site.get("/")[0] == 200
    seen = [site.scrape() for _ in range(10)]

    def rise(*sample: str) -> set[float]:
        """Return how much a sample has grown, in each of the scrapes of one worker or another."""
        return {each[sample] - before.get(sample, 0) for each in seen}

    assert rise("wsgi_sessions_sign_ins_total", "password", "success") == {8}
    assert rise("wsgi_sessions_events_total", "user_created") == {8}
    assert rise("wsgi_sessions_requests_total", "none") == {40}
    assert rise("wsgi_sessions_password_hash_duration_seconds_count") == {8}


def test_gauges_are_those_of_the_workers_that_live(site: Site) -> None:
    """A worker that is killed counts no more, and the one in its place does."""
    limit = ("wsgi_sessions_connections_limit",)
    ask_until(site, lambda: site.scrape()[limit] == 40)
    victim = site.workers()[0]
    before = site.scrape()["wsgi_sessions_sign_ins_total", "password", "success"]

    os.kill(victim, signal.SIGTERM)
    ask_until(site, lambda: len(site.workers()) == 2 and victim not in site.workers())
    ask_until(site, lambda: not list(site.counts.glob(f"gauge_live*_{victim}.db")))
    ask_until(site, lambda: site.scrape()[limit] == 40)

    after = site.scrape()["wsgi_sessions_sign_ins_total", "password", "success"]
    assert after == before, "what it has counted stays"


def test_live_sessions_are_shown_whoever_is_asked(site: Site) -> None:
    assert all(("wsgi_sessions_live_sessions",) in site.scrape() for _ in range(10))


def ask_until(site: Site, is_so: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        site.get("/")


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_a_query_asks_for_what_is_exported(title: str, query: str) -> None:
    exported = {
        f"{prometheus_name(name)}{suffix}": metric
        for name, metric in METRICS.items()
        for suffix in (("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",))
    }
    selectors = re.findall(r"(wsgi_sessions_\w+)(?:\{([^}]*)\})?", query)
    grouped = re.findall(r"by \(([^)]*)\)", query)

    assert selectors
    for name, chosen in selectors:
        assert name in exported, title
        labels = set(exported[name].labels) | {"job", "le"}
        assert set(re.findall(r"(\w+)[!=]", chosen)) <= labels, title
        for event in re.findall(r'event=~?"([^"]*)"', chosen):
            assert set(event.split("|")) <= set(EVENT_KINDS), title
    every_label = {label for name, _ in selectors for label in exported[name].labels}
    for labels in grouped:
        assert set(re.split(", *", labels)) <= every_label | {"job", "le"}, title
    assert query.count("(") == query.count(")")
    # A counter says nothing but by how much it grows.
    for name in re.findall(r"(?<!rate\()(?<!increase\()\b(wsgi_sessions_\w+_total)", query):
        raise AssertionError(f"{title}: {name} is a counter")


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(query for _, query in QUERIES)

    assert [name for name in METRICS if prometheus_name(name) not in shown] == []


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]

    assert len(set(ids)) == len(ids)
    assert len(set(places)) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in DASHBOARD["panels"])
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {
        "datasource",
        "job",
    }
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in DASHBOARD["panels"])


def test_every_rule_says_what_is_wrong_and_how_bad() -> None:
    names = [rule["alert"] for rule in RULES]

    assert len(set(names)) == len(names)
    for rule in RULES:
        assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")


def test_prometheus_reads_the_rules_that_are_there() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())

    assert [FOLDER / name for name in config["rule_files"]] == [FOLDER / "alerts.yml"]
    assert config["scrape_configs"][0]["static_configs"][0]["targets"] == ["127.0.0.1:8000"]
