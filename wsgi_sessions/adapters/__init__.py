"""Thin integrations: the session where the people of a framework look for it."""

from __future__ import annotations

from ..wsgi.refusals import refusal_of
from .views import check_form_origin, is_program, path_and_query, safe_next

__all__ = ["check_form_origin", "is_program", "path_and_query", "refusal_of", "safe_next"]
