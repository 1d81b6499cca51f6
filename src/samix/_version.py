"""The version of samix."""

__version__ = "0.2.0"
