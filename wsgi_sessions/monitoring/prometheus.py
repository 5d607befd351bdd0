"""Metrics of a manager as Prometheus' text: ``PrometheusMetrics``, of the extra ``prometheus``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..clock import monotonic_ms
from ..config.fields import Duration
from ..errors import ConfigurationError
from ..manager import SessionManager
from ..wsgi.arguments import check_app
from .catalog import METRICS, MetricName, prometheus_name
from .recording import MeasuredApp, Reading, Recorder

try:
    import prometheus_client
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.multiprocess import MultiProcessCollector
except ImportError as error:
    raise ImportError(
        "prometheus_client is not installed; pip install 'wsgi-sessions[prometheus]'"
    ) from error

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_CALL = "PrometheusMetrics(manager)"
_PUSH_PAUSE_MS = 1000
"""Where processes share files, gauges are written at most so often."""


class PrometheusMetrics:
    """Measures a manager for Prometheus, until it is closed.

    ``registry`` is that of ``prometheus_client`` if none is given, so that what your application
    measures stands beside it. ``live_sessions_every`` switches the gauge of live sessions on:
    they are counted when the metrics are read, and at most once in this time.

    With ``PROMETHEUS_MULTIPROC_DIR`` in the environment several processes are read as one.
    Raises ``ConfigurationError`` if the manager is measured already, or the registry has metrics
    of these names.
    """

    def __init__(
        self,
        manager: SessionManager,
        *,
        registry: CollectorRegistry | None = None,
        live_sessions_every: Duration | None = None,
    ) -> None:
        self._registry = prometheus_client.REGISTRY if registry is None else registry
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        self._is_shared = folder is not None
        if folder is not None and not Path(folder).is_dir():
            raise ConfigurationError(
                f"PROMETHEUS_MULTIPROC_DIR is {folder!r}, which is no folder; make it, and empty "
                "it at each start, before the application is loaded"
            )
        self._registered: list[Any] = []
        self._metrics: dict[MetricName, Any] = {}
        self._pushed_ms: int | None = None
        try:
            self._register()
            self._recorder = Recorder(
                manager, self, live_sessions_every=live_sessions_every, call=_CALL
            )
        except BaseException:
            self._unregister()
            raise
        if not self._is_shared:
            gauges = _Gauges(self._recorder, has_all=True)
            self._registry.register(gauges)
            self._registered.append(gauges)

    def _register(self) -> None:
        kinds: dict[str, Any] = {"counter": Counter, "histogram": Histogram, "gauge": Gauge}
        for name, metric in METRICS.items():
            if metric.kind == "gauge" and (not self._is_shared or name == "live_sessions"):
                continue
            options: dict[str, Any] = {}
            if metric.kind == "histogram":
                options["buckets"] = metric.buckets
            elif metric.kind == "gauge":
                options["multiprocess_mode"] = f"live{metric.merged}"
            shown, labels = prometheus_name(name), tuple(metric.labels)
            try:
                made = kinds[metric.kind](
                    shown, _plain(metric.doc), labels, registry=self._registry, **options
                )
            except ValueError as error:
                raise ConfigurationError(
                    f"the registry has a metric {shown} already; measure one manager in each "
                    "registry: PrometheusMetrics(manager, registry=CollectorRegistry())"
                ) from error
            self._metrics[name] = made
            self._registered.append(made)

    def measure(self, app: WSGIApplication) -> MeasuredApp:
        """Return a ``SessionMiddleware``, or what contains one, with its requests counted."""
        check_app(app, call="metrics.measure(SessionMiddleware(app, manager))")
        return MeasuredApp(app, self._recorder)

    def app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer with the metrics, as a WSGI application; guard it, it is for nobody else."""
        answer: Iterable[bytes] = prometheus_client.make_wsgi_app(self._shown_registry())(
            environ, start_response
        )
        return answer

    def text(self) -> str:
        """Return the metrics as Prometheus' text."""
        shown: bytes = prometheus_client.generate_latest(self._shown_registry())
        return shown.decode()

    def _shown_registry(self) -> CollectorRegistry:
        if not self._is_shared:
            return self._registry
        self._push()
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        registry.register(_Gauges(self._recorder, has_all=False))
        return registry

    def close(self) -> None:
        """Measure no more, and take the metrics out of the registry."""
        self._recorder.close()
        self._unregister()

    def _unregister(self) -> None:
        for made in self._registered:
            with suppress(KeyError):
                self._registry.unregister(made)
        self._registered.clear()

    def __repr__(self) -> str:
        return "PrometheusMetrics()"

    # Called by the recorder

    def add(self, name: MetricName, amount: float, labels: tuple[str, ...]) -> None:
        """Add to a counter."""
        self._of(name, labels).inc(amount)
        if self._is_shared and amount:
            now_ms = monotonic_ms()
            if self._pushed_ms is None or now_ms - self._pushed_ms >= _PUSH_PAUSE_MS:
                self._pushed_ms = now_ms
                self._push()

    def observe(self, name: MetricName, value: float, labels: tuple[str, ...]) -> None:
        """Note a value in a histogram."""
        self._of(name, labels).observe(value)

    def _push(self) -> None:
        """Write what the gauges show, where the process that is asked can't ask this one."""
        for reading in self._recorder.readings():
            self._of(reading.name, reading.labels).set(reading.value)

    def _of(self, name: MetricName, labels: tuple[str, ...]) -> Any:
        metric = self._metrics[name]
        return metric.labels(*labels) if labels else metric


class _Gauges:
    """What is asked when the metrics are read; where processes share files, one gauge alone."""

    def __init__(self, recorder: Recorder, *, has_all: bool) -> None:
        self._recorder = recorder
        self._has_all = has_all

    def describe(self) -> list[Any]:
        """Name the gauges, so that registering them asks nothing."""
        return [
            _family(name)
            for name, metric in METRICS.items()
            if metric.kind == "gauge" and (self._has_all or name == "live_sessions")
        ]

    def collect(self) -> Iterator[Any]:
        """Yield what each gauge shows now."""
        readings = list(self._recorder.readings()) if self._has_all else []
        count = self._recorder.live_sessions()
        if count is not None:
            readings.append(Reading("live_sessions", (), count))
        families: dict[MetricName, Any] = {}
        for reading in readings:
            family = families.setdefault(reading.name, _family(reading.name))
            family.add_metric(reading.labels, reading.value)
        yield from families.values()


def _family(name: MetricName) -> Any:
    metric = METRICS[name]
    return GaugeMetricFamily(prometheus_name(name), _plain(metric.doc), labels=tuple(metric.labels))


def _plain(doc: str) -> str:
    return doc.replace("`", "")
