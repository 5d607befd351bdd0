"""Health checks and metrics; those of Prometheus and OpenTelemetry are modules of their own."""

from .health_app import HealthApp

__all__ = ["HealthApp"]
