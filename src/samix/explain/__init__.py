"""What a run has learned: where it looks, how it mixes, and what its representation is like."""

from .photos import RunPhotos, open_photos
from .subject import Subject, open_subject
from .whole import ExplainOptions, explain

__all__ = ["ExplainOptions", "RunPhotos", "Subject", "explain", "open_photos", "open_subject"]
