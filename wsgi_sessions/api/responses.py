"""WebOb's ``Response``, and one that holds JSON."""

from __future__ import annotations

import warnings

from .wire import encode

with warnings.catch_warnings():
    # WebOb 1.8 warns of its own import of cgi, which those who use this cannot mend.
    warnings.filterwarnings("ignore", "'cgi' is deprecated", DeprecationWarning)
    from webob import Response as Response  # noqa: PLC0414  for others to import


def json_response(value: object, *, status: int = 200) -> Response:
    return Response(status=status, body=encode(value), content_type="application/json")
