"""The dictionary of the PoC's report: every word that is not a finding, in both languages."""

from __future__ import annotations

from importlib import resources

import yaml


def read_words() -> dict[str, tuple[str, str]]:
    """Return English and Japanese by key, from templates/poc_words.yaml."""
    file = resources.files("samix.report").joinpath("templates", "poc_words.yaml")
    found = yaml.safe_load(file.read_text("utf-8"))
    return {key: (pair["en"], pair["ja"]) for key, pair in found.items()}


WORDS = read_words()
"""English and Japanese by key."""
