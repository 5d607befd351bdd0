"""The metrics by OpenTelemetry, as its SDK collects them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import generate_latest
from webob import Request

from wsgi_sessions import ConfigurationError, SessionManager, SessionMiddleware
from wsgi_sessions.monitoring.catalog import METRICS, prometheus_name
from wsgi_sessions.monitoring.opentelemetry import OpenTelemetryMetrics

from .test_recording import page, signed_in

KINDS = {"Sum": "counter", "Histogram": "histogram", "Gauge": "gauge"}


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader: InMemoryMetricReader) -> Iterator[MeterProvider]:
    provider = MeterProvider([reader], shutdown_on_exit=False)
    yield provider
    provider.shutdown()


@pytest.fixture
def metrics(manager: SessionManager, provider: MeterProvider) -> Iterator[OpenTelemetryMetrics]:
    metrics = OpenTelemetryMetrics(manager, meter_provider=provider, live_sessions_every=1)
    yield metrics
    metrics.close()


def collected(reader: InMemoryMetricReader) -> dict[str, Any]:
    """Return what is exported, by its name without the prefix."""
    data = reader.get_metrics_data()
    return {
        metric.name.removeprefix("wsgi_sessions."): metric
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        if scope.scope.name == "wsgi_sessions"
        for metric in scope.metrics
    }


def values(metric: Any) -> dict[tuple[str, ...], float]:
    return {tuple(point.attributes.values()): point.value for point in metric.data.data_points}


def test_every_metric_is_there_as_documented(
    manager: SessionManager,
    metrics: OpenTelemetryMetrics,
    provider: MeterProvider,
    reader: InMemoryMetricReader,
) -> None:
    use_all(manager, metrics)

    found = collected(reader)

    assert set(found) == set(METRICS)
    for name, metric in METRICS.items():
        exported = found[name]
        assert (exported.unit, KINDS[type(exported.data).__name__]) == (metric.unit, metric.kind)
        for point in exported.data.data_points:
            assert set(point.attributes) == set(metric.labels), name
            if metric.kind == "histogram":
                assert tuple(point.explicit_bounds) == metric.buckets


def test_its_exporter_for_prometheus_makes_the_names_that_are_documented(
    manager: SessionManager,
) -> None:
    provider = MeterProvider([PrometheusMetricReader()], shutdown_on_exit=False)
    metrics = OpenTelemetryMetrics(manager, meter_provider=provider, live_sessions_every=1)
    use_all(manager, metrics)
    text = generate_latest().decode()
    metrics.close()
    provider.shutdown()

    named = re.findall(r"^# TYPE (wsgi_sessions_\w+)", text, re.MULTILINE)
    assert sorted(named) == sorted(map(prometheus_name, METRICS))


def use_all(manager: SessionManager, metrics: OpenTelemetryMetrics) -> None:
    """Have every metric measured."""
    manager.parts.feed.current()
    manager.sign_up_email(name="Bob", email="bob@example.org", password="correct horse")
    recorder = metrics._recorder
    for name, labels in (
        ("requests_refused", ["X"]),
        ("purged_rows", []),
        ("database_outages", []),
    ):
        recorder._add(name, 1, *labels)  # type: ignore[arg-type]
    recorder._note_connection(0.1, True)


def test_values_are_those_of_what_happened(
    manager: SessionManager, metrics: OpenTelemetryMetrics, reader: InMemoryMetricReader
) -> None:
    app = metrics.measure(SessionMiddleware(page, manager))
    cookie = f"session_token={signed_in(manager).token}"
    for cookies in (cookie, cookie, ""):
        Request.blank("/", headers={"Cookie": cookies}).get_response(app)

    found = collected(reader)

    assert {key: count for key, count in values(found["requests"]).items() if count} == {
        ("database",): 2,
        ("none",): 1,
    }
    assert values(found["sign_ins"]) == {("unknown", "success"): 1}
    assert values(found["live_sessions"]) == {(): 1}
    assert values(found["connections"]) == {("in_use",): 0, ("idle",): 1}


def test_closed_its_gauges_show_nothing(
    manager: SessionManager, metrics: OpenTelemetryMetrics, reader: InMemoryMetricReader
) -> None:
    assert "connections" in collected(reader)

    metrics.close()

    assert "connections" not in collected(reader)


def test_without_a_provider_nothing_is_exported_and_nothing_fails(manager: SessionManager) -> None:
    metrics = OpenTelemetryMetrics(manager)
    signed_in(manager)
    metrics.close()


def test_a_manager_is_measured_once(
    manager: SessionManager, metrics: OpenTelemetryMetrics, provider: MeterProvider
) -> None:
    with pytest.raises(ConfigurationError, match="measured already"):
        OpenTelemetryMetrics(manager, meter_provider=provider)
