"""What is measured: each metric with its unit and its labels, whatever library exports it.

No label is a user, a session, an address or other text of a client: the number of time series is
bounded by the program and its settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

MetricName = Literal[
    "requests",
    "events",
    "sign_ins",
    "sessions_ended",
    "requests_refused",
    "purged_rows",
    "password_hash_duration",
    "password_wait_duration",
    "database_duration",
    "database_outages",
    "database_away",
    "connections",
    "connections_limit",
    "connection_waiters",
    "connection_wait_duration",
    "feed_age",
    "live_sessions",
]
Kind = Literal["counter", "histogram", "gauge"]

SECONDS = "s"


class Metric(NamedTuple):
    """``unit`` is as OpenTelemetry has it: ``s``, or what is counted in braces.

    ``labels``: each with what it holds. ``merged`` is what becomes of a gauge of several
    processes: the sum, or the largest.
    """

    kind: Kind
    unit: str
    doc: str
    labels: Mapping[str, str] = {}
    buckets: tuple[float, ...] = ()
    merged: Literal["sum", "max"] = "sum"


_DATABASE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_PASSWORD_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5)

METRICS: Mapping[MetricName, Metric] = {
    "requests": Metric(
        "counter",
        "{request}",
        "Requests that `SessionMiddleware` has served, and where their session came from.",
        {
            "session": "`cached` (a cached copy alone), `database` (it was asked), `none` (a"
            " visitor), `ended` (one that is over, or was ended by this request), `away` (the"
            " database did not answer)"
        },
    ),
    "events": Metric(
        "counter",
        "{event}",
        "Events, of every kind: refreshes, rotations, replays, throttled requests and so on.",
        {"event": "the [name of the event](events.md)"},
    ),
    "sign_ins": Metric(
        "counter",
        "{sign_in}",
        "Sessions begun by a user (sign-in, sign-up, change of password), and sign-ins that were"
        " refused.",
        {
            "method": "`password`, the name of a provider, what your application calls its own,"
            " or `unknown`",
            "outcome": "`success`, or the `cause` of the event `sign_in_failed`",
        },
    ),
    "sessions_ended": Metric(
        "counter",
        "{session}",
        "Sessions that are over. One that expires unseen is counted when it is presented again.",
        {"reason": "[why](../explanation/sessions.md#why-a-session-ends)"},
    ),
    "requests_refused": Metric(
        "counter",
        "{request}",
        "Requests that were refused with 403.",
        {"code": "the code of the [error](errors.md)"},
    ),
    "purged_rows": Metric(
        "counter", "{row}", "Rows that were deleted after responses, when they had had their time."
    ),
    "password_hash_duration": Metric(
        "histogram",
        SECONDS,
        "How long a password was hashed or compared, once it was its turn.",
        buckets=_PASSWORD_BUCKETS,
    ),
    "password_wait_duration": Metric(
        "histogram",
        SECONDS,
        "How long a password waited for its turn.",
        {"outcome": "`hashed`, or `refused`: the queue was full, or the time over"},
        buckets=_PASSWORD_BUCKETS,
    ),
    "database_duration": Metric(
        "histogram",
        SECONDS,
        "How long a statement or a transaction of ours took, with its wait for a connection.",
        {
            "operation": "`read`, `write` (also within a transaction) or `transaction`",
            "outcome": "`ok`, or `unavailable`: the database did not answer",
        },
        buckets=_DATABASE_BUCKETS,
    ),
    "database_outages": Metric(
        "counter", "{outage}", "How often a process has found that the database does not answer."
    ),
    "database_away": Metric(
        "gauge", "{process}", "Processes for which the database did not answer when last asked."
    ),
    "connections": Metric(
        "gauge",
        "{connection}",
        "Connections to a database given as a URL.",
        {"state": "`in_use` or `idle`"},
    ),
    "connections_limit": Metric(
        "gauge", "{connection}", "How many there may be: `max_connections` of every process."
    ),
    "connection_waiters": Metric(
        "gauge", "{thread}", "Threads that wait for a connection, as all are in use."
    ),
    "connection_wait_duration": Metric(
        "histogram",
        SECONDS,
        "How long a thread waited for a connection, where all were in use.",
        {"outcome": "`served`, or `refused`: the time was over"},
        buckets=_DATABASE_BUCKETS,
    ),
    "feed_age": Metric(
        "gauge",
        SECONDS,
        "How old the latest reading of the revocation feed is, with the cookie cache. Cached"
        " copies are taken only while it is younger than `revocation_lag`; else it is read anew.",
        merged="max",
    ),
    "live_sessions": Metric(
        "gauge",
        "{session}",
        "Sessions that are not over, in the whole database. Only with `live_sessions_every`.",
        merged="max",
    ),
}
"""Every metric, by its name without the prefix."""


def prometheus_name(name: MetricName) -> str:
    """Return the name of a metric in Prometheus' text.

    >>> prometheus_name("sign_ins"), prometheus_name("feed_age")
    ('wsgi_sessions_sign_ins_total', 'wsgi_sessions_feed_age_seconds')
    """
    metric = METRICS[name]
    unit = "_seconds" if metric.unit == SECONDS else ""
    return f"wsgi_sessions_{name}{unit}{'_total' if metric.kind == 'counter' else ''}"
