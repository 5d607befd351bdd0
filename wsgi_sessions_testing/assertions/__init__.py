"""Assertions about sessions; each failure shows the requests that led to it."""
