"""What a run has learned: where it looks, how it mixes, and what its representation is like."""

from .explain import ExplainOptions, explain
from .subject import RunPhotos, Subject, open_photos, open_subject

__all__ = ["ExplainOptions", "RunPhotos", "Subject", "explain", "open_photos", "open_subject"]
