"""The metrics as Prometheus' text: as it is documented, and as its own parser reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from webob import Request

from wsgi_sessions import ConfigurationError, SessionManager, SessionMiddleware
from wsgi_sessions.monitoring.catalog import METRICS, prometheus_name
from wsgi_sessions.monitoring.prometheus import PrometheusMetrics

from .conftest import SECRET
from .test_recording import page, signed_in


@pytest.fixture
def metrics(manager: SessionManager, registry: CollectorRegistry) -> Iterator[PrometheusMetrics]:
    metrics = PrometheusMetrics(manager, registry=registry, live_sessions_every=1)
    yield metrics
    metrics.close()


def read(text: str) -> dict[str, Any]:
    """Return the metrics; when their series were made is left away."""
    return {
        family.name: family
        for family in text_string_to_metric_families(text)
        if not family.name.endswith("_created")
    }


def test_every_metric_is_there_as_documented(
    manager: SessionManager, metrics: PrometheusMetrics
) -> None:
    manager.parts.feed.current()
    made = signed_in(manager)
    manager.sign_up_email(name="Bob", email="bob@example.org", password="correct horse")
    manager.sign_out(made.session.id)

    found = read(metrics.text())

    for name, metric in METRICS.items():
        family = found[prometheus_name(name).removesuffix("_total")]
        assert family.type == metric.kind, name
        assert family.documentation == metric.doc.replace("`", "")
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), sample
    assert set(found) == {prometheus_name(name).removesuffix("_total") for name in METRICS}


def test_values_are_those_of_what_happened(
    manager: SessionManager, metrics: PrometheusMetrics, registry: CollectorRegistry
) -> None:
    app = metrics.measure(SessionMiddleware(page, manager))
    cookie = f"session_token={signed_in(manager).token}"
    for cookies in (cookie, cookie, ""):
        Request.blank("/", headers={"Cookie": cookies}).get_response(app)

    def value(name: str, **labels: str) -> float | None:
        found: float | None = registry.get_sample_value(f"wsgi_sessions_{name}", labels)
        return found

    assert value("requests_total", session="database") == 2
    assert value("requests_total", session="none") == 1
    assert value("requests_total", session="away") == 0
    assert value("sign_ins_total", method="unknown", outcome="success") == 1
    assert value("live_sessions") == 1
    assert value("connections_limit") == 20
    # The user, the session, and the key of cached copies.
    assert value("database_duration_seconds_count", operation="transaction", outcome="ok") == 3


def test_the_app_answers_with_the_text(metrics: PrometheusMetrics) -> None:
    answer = Request.blank("/metrics").get_response(metrics.app)

    assert answer.status_int == 200
    assert answer.content_type == "text/plain"
    assert read(answer.text).keys() == read(metrics.text()).keys()


def test_what_the_application_measures_stands_beside(
    metrics: PrometheusMetrics, registry: CollectorRegistry
) -> None:
    Counter("orders", "Orders.", registry=registry).inc()

    assert "orders_total 1.0" in metrics.text()


def test_two_managers_need_two_registries(
    manager: SessionManager, metrics: PrometheusMetrics, registry: CollectorRegistry
) -> None:
    other = SessionManager("sqlite:///:memory:", secret=SECRET)
    with pytest.raises(ConfigurationError, match="measure one manager in each registry"):
        PrometheusMetrics(other, registry=registry)

    of_its_own = PrometheusMetrics(other, registry=CollectorRegistry())
    signed_in(other)
    assert 'sign_ins_total{method="unknown",outcome="success"} 1.0' in of_its_own.text()
    assert 'outcome="success"' not in metrics.text()
    of_its_own.close()
    other.close()


def test_closed_it_leaves_the_registry_as_it_was(
    manager: SessionManager, metrics: PrometheusMetrics, registry: CollectorRegistry
) -> None:
    metrics.close()

    assert generate_latest(registry) == b""
    PrometheusMetrics(manager, registry=registry).close()


def test_a_folder_of_several_processes_that_is_not_there_is_refused(
    manager: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "nowhere"))

    with pytest.raises(ConfigurationError, match="which is no folder; make it, and empty it"):
        PrometheusMetrics(manager, registry=CollectorRegistry())
    assert "read_row" not in vars(manager.parts.connections)


def test_what_is_no_application_is_refused(metrics: PrometheusMetrics) -> None:
    with pytest.raises(ConfigurationError, match=r"metrics\.measure\(SessionMiddleware"):
        metrics.measure("app")  # type: ignore[arg-type]
