"""The JSON API that the npm client speaks."""
