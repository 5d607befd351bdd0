"""Load while something is wrong: with the database, the way to it, or the workers."""
