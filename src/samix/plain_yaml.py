"""YAML that anybody may have written: plain values within bounds, or one sentence.

Dates stay the texts that they are written as, and ``1e-3`` is a number. Numbers that YAML 1.1 reads
as others than are seen are refused: ``010`` to the base of eight, ``1:30`` to that of sixty. What
:func:`dump_yaml` writes is read back as it was.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any, cast

import yaml

from .plain_json import MOST_DEPTH, check_plain, read_plain

MOST_BYTES = 2**22
"""Largest file that is read, in bytes."""
MOST_VALUES = 2 * 10**5
"""Values that a file may mean, each reference counted as what it stands for."""

_DATE, _INT, _FLOAT = (f"tag:yaml.org,2002:{word}" for word in ("timestamp", "int", "float"))
_EXPONENT = re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")
_ZEROS = re.compile(r"^[-+]?0[0-9_]+$|:")
_STRANGE = (yaml.YAMLError, ValueError, TypeError, RecursionError)


class _Loader(yaml.SafeLoader):
    """Reads plain values; counts depth and values while it reads."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a value, unless it lies too deep or says itself what it is."""
        tag = getattr(self.peek_event(), "tag", None)  # type: ignore[no-untyped-call]
        if tag is not None:
            raise ValueError(f"the tag {tag} is not understood; write plain values")
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise ValueError(f"lists and mappings are nested deeper than {MOST_DEPTH} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def get_single_node(self) -> Any:
        """Compose all, unless its references mean too much."""
        node = super().get_single_node()
        if node is not None and _values(node, {}, frozenset()) > MOST_VALUES:
            raise ValueError(f"its references mean more than {MOST_VALUES:,} values")
        return node


class _Dumper(yaml.SafeDumper):
    """Writes plain values so that the loader reads them as they were."""


for _one in (_Loader, _Dumper):
    _one.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+.0123456789"))
_Loader.yaml_implicit_resolvers = {
    first: [(tag, found) for tag, found in rules if tag != _DATE]
    for first, rules in _Loader.yaml_implicit_resolvers.items()
}


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no YAML of plain values, or too large or too deep; one line.
    """
    return parse_yaml(read_plain(path, MOST_BYTES))


def parse_yaml(text: str) -> Any:
    """Return what a YAML text holds.

    Raises:
        ValueError: It is no YAML of plain values, or too large or too deep; one line.
    """
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
        check_plain(content)
    except _STRANGE as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
    return content


def read_own(package: str, name: str) -> Any:
    """Return what a YAML file of this package holds, which needs no check."""
    text = resources.files(package).joinpath(name).read_text("utf-8")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506


def dump_yaml(content: dict[str, Any]) -> str:
    """Return plain values as YAML, in the order that they have."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _values(node: Any, known: dict[int, int], above: frozenset[int]) -> int:
    """Return how many values a node means; at most one more than are allowed."""
    if id(node) in above:
        raise ValueError("a value holds itself")
    if id(node) not in known:
        parts: list[Any] = []
        if isinstance(node, yaml.SequenceNode):
            parts = node.value
        elif isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        inside = above | {id(node)}
        count = 1 + sum(_values(part, known, inside) for part in parts)
        known[id(node)] = min(count, MOST_VALUES + 1)
    return known[id(node)]


def _number(loader: _Loader, node: Any) -> float:
    """Return a number, unless it is another one than is seen."""
    if _ZEROS.search(node.value):
        raise ValueError(
            f"'{node.value}' begins with 0 or has a colon, so that it is another number than it "
            "seems; write the number plainly, or put the text between quotes"
        )
    whole = node.tag == _INT
    read = loader.construct_yaml_int if whole else loader.construct_yaml_float
    return cast(float, read(node))


for _one_tag in (_INT, _FLOAT):
    _Loader.add_constructor(_one_tag, _number)
