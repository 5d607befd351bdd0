"""All that knows Peewee or SQL."""
