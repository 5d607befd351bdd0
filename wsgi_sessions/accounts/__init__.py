"""Who someone is, without sessions: passwords, their throttle, and users."""
