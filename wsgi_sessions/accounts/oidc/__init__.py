"""ID tokens of OpenID Connect providers, and the keys that sign them."""
