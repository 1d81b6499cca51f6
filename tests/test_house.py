"""How the house is laid out: sizes and names of files, names of classes, no import circle.

The lists of exceptions only get shorter: who mends one takes it out, and a test says so.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import house

SHORT: set[str] = set()
PREFIXES: set[str] = set()
NAMES: set[str] = set()


def test_no_file_is_too_long() -> None:
    assert house.too_long(house.SOURCE) == []


@pytest.mark.parametrize(
    ("rule", "exceptions"),
    [(house.too_short, SHORT), (house.shared_prefixes, PREFIXES), (house.shared_names, NAMES)],
)
def test_a_subject_is_a_file_and_a_thing_has_one_name(rule, exceptions) -> None:
    found = set(rule(house.SOURCE))
    assert not found - exceptions, f"{rule.__name__}: join files, or find better names"


def test_no_module_imports_itself_through_others_not_even_later() -> None:
    assert house.circles(house.import_graph(house.SOURCE, later=True)) == []


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d", "f"}, "f": set()}
    assert house.circles(graph) == [["a", "b", "c"], ["d", "e"]]


def test_imports_are_read_as_python_reads_them(tmp_path) -> None:
    def write(name: str, text: str) -> None:
        path = tmp_path / "samix" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write("__init__.py", "from .a import one\n")
    write("a/__init__.py", "from .one import thing\nfrom . import two\n")
    write(
        "a/one.py", "from ..b import z\ntry:\n    import samix.c\nexcept ImportError:\n    pass\n"
    )
    write("a/two.py", "def f():\n    from samix.a.one import thing\n")
    write("b.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import two\n")
    write("c.py", "import os\n")
    now = {
        "samix": {"samix.a.one"},
        "samix.a": {"samix.a.one", "samix.a.two"},
        "samix.a.one": {"samix.b", "samix.c"},
        "samix.a.two": set(),
        "samix.b": set(),
        "samix.c": set(),
    }
    assert house.import_graph(tmp_path) == now
    later = now | {"samix.a.two": {"samix.a.one"}, "samix.b": {"samix.a.two"}}
    assert house.import_graph(tmp_path, later=True) == later
    assert house.circles(later) == [["samix.a.one", "samix.a.two", "samix.b"]]
    assert house.figures(tmp_path)["files"] == 6
