"""Stand-ins for what surrounds an application: clock, network, databases, providers."""
