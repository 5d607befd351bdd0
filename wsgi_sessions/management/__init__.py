"""Where Django looks for commands of an application in ``INSTALLED_APPS``."""
