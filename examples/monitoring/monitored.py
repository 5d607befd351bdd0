"""A site with a health check at /health, and metrics at /metrics for whoever has the token.

examples/README.md says how to run it.
"""

import hmac
import os
from collections.abc import Iterable
from typing import Any

from wsgi_sessions import SessionConfig, SessionManager, SessionMiddleware
from wsgi_sessions.monitoring.prometheus import PrometheusMetrics

TOKEN = os.environ["METRICS_TOKEN"]

manager = SessionManager(
    os.environ.get("DATABASE_URL", "sqlite:///monitored.db"),
    config=SessionConfig.from_env(health_path="/health"),
)
metrics = PrometheusMetrics(manager, live_sessions_every=60)


def site(environ: Any, start_response: Any) -> Iterable[bytes]:
    user = environ["wsgi_sessions.user"]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"Hello, {user.name if user else 'visitor'}.\n".encode()]


with_sessions = metrics.measure(SessionMiddleware(site, manager))


def application(environ: Any, start_response: Any) -> Iterable[bytes]:
    # Beside the middleware: whoever reads the metrics has no session.
    if environ.get("PATH_INFO") != "/metrics":
        return with_sessions(environ, start_response)
    given = environ.get("HTTP_AUTHORIZATION", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {TOKEN}".encode()):
        headers = [("Content-Type", "text/plain"), ("WWW-Authenticate", "Bearer")]
        start_response("401 Unauthorized", headers)
        return [b"The metrics are not for everybody.\n"]
    return metrics.app(environ, start_response)
