"""A site driven by WebTest, the test client of Pyramid's and Paste's people, and Bottle's."""

from __future__ import annotations

from typing import Any

import webtest  # type: ignore[import-untyped, unused-ignore]

from .test_flask import Said


class WebTestSite:
    """One browser; ``name`` is the framework's."""

    redirects_visitors = False

    def __init__(self, app: Any, name: str) -> None:
        self.app = webtest.TestApp(app)
        self.name = name

    def get(self, path: str) -> Said:
        return self._said(self.app.get(path, expect_errors=True))

    def post(
        self, path: str, form: dict[str, str], *, origin: str | None = "http://localhost"
    ) -> Said:
        headers = {} if origin is None else {"Origin": origin}
        return self._said(self.app.post(path, form, headers=headers, expect_errors=True))

    @staticmethod
    def _said(answer: Any) -> Said:
        return Said(
            answer.status_int,
            answer.text,
            answer.headers.get("Location"),
            answer.headers.getall("Set-Cookie"),
            answer.headers.get("Retry-After"),
        )
