"""The one fixture to define: the application."""

from __future__ import annotations

import pytest
from flask import Flask
from flask_notes import create_app

from wsgi_sessions_testing import settings_for_tests


@pytest.fixture
def wsgi_app() -> Flask:
    return create_app("sqlite:///:memory:", settings_for_tests())
