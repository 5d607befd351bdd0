"""What a request says and a response carries."""
