"""The middleware, and the session of one request."""
