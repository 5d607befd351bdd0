"""The Hypothesis state machine of sessions, and its reference model."""

from ..extras import from_extra

with from_extra("testing", "Hypothesis", "SessionMachine"):
    import hypothesis  # noqa: F401  its modules import it without saying what is missing
