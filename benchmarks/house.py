"""How the code is laid out, in figures that are counted: files, lines, circles, the way of a step.

    python benchmarks/house.py                        of this checkout
    python benchmarks/house.py --source OTHER/src     of another one
    python benchmarks/house.py --flow                 also the files that a step and a run visit
    python benchmarks/house.py --json                 for programs

Nothing is imported from the tree that is counted, unless ``--flow`` asks for it.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any

MOST_LINES, LEAST_LINES = 600, 40
SOURCE = Path(__file__).resolve().parents[1] / "src"
Graph = dict[str, set[str]]


def modules(source: Path) -> dict[str, Path]:
    """Return every module of samix below a folder, by its dotted name."""
    found = {}
    for file in sorted((source / "samix").rglob("*.py")):
        parts = file.relative_to(source).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = file
    return found


def lines_of(file: Path) -> int:
    """Return the number of lines of a file."""
    return len(file.read_text(encoding="utf-8").splitlines())


def too_long(source: Path) -> list[str]:
    """Return the modules with more than 600 lines."""
    return [name for name, file in modules(source).items() if lines_of(file) > MOST_LINES]


def too_short(source: Path) -> list[str]:
    """Return the modules with fewer than 40 lines, but those with names such as ``__init__``."""
    return [
        name
        for name, file in modules(source).items()
        if not file.name.startswith("_") and lines_of(file) < LEAST_LINES
    ]


def shared_prefixes(source: Path) -> list[str]:
    """Return the beginnings of names that three or more files of one folder have in common."""
    groups = Counter(
        (file.parent, file.stem.partition("_")[0])
        for file in modules(source).values()
        if not file.name.startswith("_")
    )
    return sorted(
        f"{folder.relative_to(source).as_posix()}/{prefix}"
        for (folder, prefix), count in groups.items()
        if count > 2
    )


def shared_names(source: Path) -> list[str]:
    """Return the names that two public classes have."""
    places = Counter(
        node.name
        for file in modules(source).values()
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    return sorted(name for name, count in places.items() if count > 1)


def import_graph(source: Path, *, later: bool = False) -> Graph:
    """Return which modules each module imports while it is imported itself.

    Args:
        source: The folder that holds ``samix``.
        later: Count imports inside functions, and those for type checkers alone, as well.
    """
    known = modules(source)
    graph: Graph = {}
    for name, file in known.items():
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        wanted = {
            target
            for node in _imports(ast.parse(file.read_text(encoding="utf-8")), later)
            for target in _targets(node, package, known)
        }
        graph[name] = wanted - {name}
    return graph


def _imports(tree: ast.Module, later: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports of a module: all, or those that run when it is imported."""
    if not later:
        yield from _at_import(tree.body)
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node


def _at_import(body: Iterable[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that run when a module is imported."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _at_import(node.orelse)
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            for part in ("body", "orelse", "finalbody"):
                yield from _at_import(getattr(node, part, []))


def _targets(
    node: ast.Import | ast.ImportFrom, package: str, known: Mapping[str, Path]
) -> set[str]:
    """Return the modules of samix that an import names: a submodule where one is named."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names} & set(known)
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    base = ".".join([*above, *([node.module] if node.module else [])])
    inner = {f"{base}.{alias.name}" for alias in node.names}
    found = inner & set(known)
    return found if len(found) == len(inner) else found | ({base} & set(known))


def circles(graph: Graph) -> list[list[str]]:
    """Return the sets of modules that import each other: strong components, by Tarjan 1972."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = low[name] = len(number)
        stack.append(name)
        for other in sorted(graph.get(name, ())):
            if other not in number:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], number[other])
        if low[name] == number[name]:
            at = stack.index(name)
            members = sorted(stack[at:])
            del stack[at:]
            if len(members) > 1:
                found.append(members)

    for name in sorted(graph):
        if name not in number:
            visit(name)
    return sorted(found)


def figures(source: Path) -> dict[str, int | float]:
    """Return what is counted, by its description."""
    files = modules(source)
    trees = {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in files.items()}
    lengths = [lines_of(file) for file in files.values()]
    importers = Counter(other for names in import_graph(source).values() for other in names)
    nodes = [(name, node) for name, tree in trees.items() for node in ast.walk(tree)]
    return {
        "files": len(files),
        "lines": sum(lengths),
        "median lines of a file": median(lengths),
        "lines of the longest file": max(lengths),
        "files under 40 lines": len(too_short(source)),
        "files above 600 lines": len(too_long(source)),
        "prefixes that three files of a folder share": len(shared_prefixes(source)),
        "names that two public classes have": len(shared_names(source)),
        "import circles": len(circles(import_graph(source))),
        "import circles, with imports inside functions": len(
            circles(import_graph(source, later=True))
        ),
        "modules with at most one importer": sum(importers[name] < 2 for name in files),
        "dataclasses": sum(
            any("dataclass" in ast.unparse(one) for one in node.decorator_list)
            for _, node in nodes
            if isinstance(node, ast.ClassDef)
        ),
        "signatures of plan in policies": sum(
            name.startswith("samix.policies")
            and isinstance(node, ast.FunctionDef)
            and node.name == "plan"
            for name, node in nodes
        ),
        "isinstance tests of concrete policies": sum(
            len(re.findall(r"\b[A-Z]\w+Policy\b", ast.unparse(node.args[1]))) > 0
            for _, node in nodes
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "isinstance"
        ),
        "optional fields of MixPlan": sum(
            isinstance(part, ast.AnnAssign) and "None" in ast.unparse(part.annotation)
            for _, node in nodes
            if isinstance(node, ast.ClassDef) and node.name == "MixPlan"
            for part in node.body
        ),
        "texts outside the command line that spell a flag": sum(
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.search(r"(?<![\w(-])--[a-z][a-z-]+", node.value) is not None
            for name, node in nodes
            if not name.startswith("samix.cli")
        ),
    }


class Visits:
    """Files whose functions are given a value, in the order in which they are.

    Args:
        source: The tree whose files count.
        is_it: Says whether an argument is that value.
    """

    def __init__(self, source: Path, is_it: Callable[[Any], bool]) -> None:
        self.source = str(source / "samix")
        self.is_it = is_it
        self.stays: list[str] = []

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        """See a call; for ``sys.setprofile``."""
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(self.source):
            return
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        given = [frame.f_locals.get(name) for name in names]
        if any(self.is_it(value) for value in given) and self.stays[-1:] != [code.co_filename]:
            self.stays.append(code.co_filename)

    def watch(self, work: Callable[[], object]) -> tuple[int, int]:
        """Do some work; return how many files were visited, and how many stays there were."""
        sys.setprofile(self)
        try:
            work()
        finally:
            sys.setprofile(None)
        return len(set(self.stays)), len(self.stays)


def flow(source: Path) -> dict[str, int]:
    """Return the files that the images of a step, and the settings of a run, are handed through."""
    sys.path.insert(0, str(source))
    import torch  # noqa: PLC0415

    import samix  # noqa: PLC0415
    from samix.training import TrainConfig, train  # noqa: PLC0415

    small = {"layers": (1, 1, 1, 1), "channels": (16, 16, 16, 16)}
    options: dict[str, Any] = {"backbone": "resnet18", "stem": "small", "model_kwargs": small}
    method = samix.create_method("supervised", num_classes=3, policy="samix", **options)
    images, target = torch.randn(6, 3, 32, 32), torch.arange(6) % 3
    method(images, target)  # what happens once is not counted
    step = Visits(source, lambda value: getattr(value, "shape", None) == images.shape)
    files, stays = step.watch(lambda: method(images, target))
    counted = {
        "files that batches of images are handed to in a step": files,
        "stays of batches of images in a step": stays,
    }
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            data="demo:photos_per_class=8,size=16",
            output=f"{folder}/run",
            epochs=1,
            image_size=16,
            **options,
        )
        run = Visits(source, lambda value: isinstance(value, TrainConfig))
        files, stays = run.watch(lambda: train(config))
    counted["files that config is handed to in a run"] = files
    counted["stays of config in a run"] = stays
    return counted


def main(arguments: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", type=Path, default=SOURCE, help="folder that holds samix/")
    parser.add_argument("--flow", action="store_true", help="also follow a step and a run")
    parser.add_argument("--names", action="store_true", help="also name what breaks a rule")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(arguments)
    source = asked.source.resolve()
    counted = figures(source) | (flow(source) if asked.flow else {})
    if asked.json:
        print(json.dumps(counted, indent=2))
        return
    for what, count in counted.items():
        print(f"{count:>8,} {what}")
    if asked.names:
        rules = (too_long, too_short, shared_prefixes, shared_names)
        for rule in rules:
            print(f"{rule.__name__}: {', '.join(rule(source)) or 'none'}")
        for circle in circles(import_graph(source, later=True)):
            print("circle:", ", ".join(circle))


if __name__ == "__main__":
    main()
