"""Docstrings name other objects as Sphinx does; the site shows such a name as code."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|obj):`~?([^`]+)`")


def plain(text: str) -> str:
    """Return a docstring with roles such as :func:`samix.blend` as code."""
    return _ROLE.sub(r"`\1`", text)


class Roles(griffe.Extension):
    """Changes the docstring of every object that is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)
