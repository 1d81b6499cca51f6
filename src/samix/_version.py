"""The version of samix."""

__version__ = "0.1.0"
