"""Mixes before any training: pairs of photos under several policies, as a page and live."""
