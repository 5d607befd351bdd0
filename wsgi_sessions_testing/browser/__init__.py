"""A browser: its cookie jar, its requests, and what it remembers of them."""
