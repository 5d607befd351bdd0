"""Settings: what they are, where they come from, and what each may be."""
