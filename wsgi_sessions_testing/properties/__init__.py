"""Hypothesis strategies, the state machine and its reference model."""
