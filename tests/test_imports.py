"""Who may import whom, and what works without the extras."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib

SOURCE = Path(__file__).parents[1] / "src" / "samix"
BASE = {  # import only each other
    "errors", "files", "options", "plain_json", "plain_yaml", "progress", "shown", "stopping",
}  # fmt: skip
ALLOWED = {
    "mixing": set(),
    "networks": {"plain_json", "errors"},
    "objectives": set(),
    "policies": {"mixing", "networks", "objectives", "errors"},
    "guard": {"mixing"},
    "checking": {"mixing", "policies", "data", *BASE},
    "methods": {"mixing", "networks", "objectives", "policies", "guard", "options"},
    "data": {*BASE},
    "evaluation": {"mixing", "data", "networks", "policies", "methods", "pages", *BASE},
    "pages": {"mixing", "data", *BASE},
    "presets": {*BASE},
    "explain": {
        "training", "pages", "evaluation", "data", "methods", "policies", "networks", "mixing",
        *BASE,
    },
    "preview": {
        "pages", "training", "data", "guard", "methods", "policies", "networks", "mixing", *BASE,
        "_version",
    },
    "study": {
        "training", "explain", "evaluation", "pages", "data", "guard", "policies",
        "methods", "mixing", "networks", "presets", *BASE,
    },
    "training": {
        "methods", "data", "evaluation", "pages", "policies", "presets", "mixing", "networks",
        "guard", *BASE, "_version",
    },
}  # fmt: skip
EXTRAS = ("lightning", "torchmetrics", "tensorboard", "pandas", "pyarrow", "matplotlib", "rich")


def imports_of(file: Path) -> set[str]:
    """Every module that a file imports, as an absolute name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = file.relative_to(SOURCE.parent).with_suffix("").parts
            base = ".".join(package[: len(package) - node.level]) + "." if node.level else ""
            names.add(f"{base}{node.module or ''}".rstrip("."))
    return names


@pytest.mark.parametrize("folder", list(ALLOWED))
def test_import_direction(folder: str) -> None:
    files = list((SOURCE / folder).rglob("*.py"))
    assert files
    for file in files:
        for name in imports_of(file):
            if name.startswith("samix."):
                used = name.split(".")[1]
                assert used in ALLOWED[folder] | {folder}, f"{file.name} imports {name}"


def test_only_the_command_line_imports_the_command_line_and_only_training_lightning() -> None:
    for file in SOURCE.rglob("*.py"):
        folder = file.relative_to(SOURCE).parts[0]
        for name in imports_of(file):
            if folder not in ("cli", "__main__.py"):
                assert not name.startswith("samix.cli"), file
            if folder != "training":
                assert name.split(".")[0] not in ("lightning", "pytorch_lightning"), file


def test_no_assert_in_the_package() -> None:
    for file in SOURCE.rglob("*.py"):
        nodes = ast.walk(ast.parse(file.read_text()))
        assert not any(isinstance(node, ast.Assert) for node in nodes), file


def test_the_core_works_without_the_extras() -> None:
    """In a fresh process in which importing an extra fails."""
    code = f"""
import sys
for name in {EXTRAS!r}:
    sys.modules[name] = None
import torch, samix
for name in samix.__all__:
    getattr(samix, name)
method = samix.create_method(
    "supervised", backbone="resnet18", num_classes=2, stem="small",
    model_kwargs=dict(layers=(1, 1, 1, 1), channels=(8, 8, 8, 8)),
)
method(torch.randn(2, 3, 16, 16), torch.tensor([0, 1])).loss.backward()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_policy_without_a_network_of_its_own_imports_torch_alone() -> None:
    """The start of a training script: timm and torchvision take longer than torch itself."""
    code = """
import sys, torch
known = set(sys.modules)
import samix
learned = {"samix", "automix", "adautomix", "samix-p"}
policies = [samix.create_policy(name) for name in samix.POLICIES if name not in learned]
images, target = torch.randn(4, 3, 16, 16), torch.arange(4)
samix.BatchMix("cutmix", num_classes=4)(images, target)
plan = samix.create_policy("mixup").plan(images)
samix.blend(images, plan), samix.mix_targets(target, plan, 4)
new = {name.split(".")[0] for name in set(sys.modules) - known}
print(sorted(new - set(sys.stdlib_module_names)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['samix']"


def test_help_imports_no_torch() -> None:
    """In one process: a parser with the options of every command."""
    code = """
import sys
from samix.cli import create_parser
create_parser().format_help()
heavy = ("torch", "timm", "torchvision", "numpy", "PIL", "pandas", "lightning", "matplotlib")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
"""Packages whose module has another name."""
NEEDS = {
    "networks": {"ssl", "onnx"}, "methods": {"ssl"}, "data": {"train", "ssl"},
    "evaluation": {"train", "ssl"}, "pages": {"train"}, "presets": {"train"},
    "training": {"train"}, "explain": {"explain"}, "preview": {"train"},
    "study": {"poc"}, "cli": {"train"},
    "plain_yaml.py": {"train"},
}  # fmt: skip
"""The extras that the commands of a folder need; other folders have the core alone."""
ON_DEMAND = {"datasets"}
"""Named with a remedy where it is missing: for one form of data."""


def declared(extra: str | None = None) -> set[str]:
    """The distributions that the core, or an extra with what it draws in, asks for."""
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text())["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    names: set[str] = set()
    for line in lines:
        own = re.fullmatch(r"samix\[(.+)\]", line)
        if own:
            names |= set().union(*(declared(part) for part in own[1].split(",")))
        else:
            names.add(re.split(r"[\[<>=!~ ;]", line)[0].lower().replace("_", "-"))
    return names


needs_toml = pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is of Python 3.11")


@needs_toml
def test_every_package_that_is_imported_is_declared_where_it_is_needed() -> None:
    """Not left to what another package happens to bring."""
    seen = set()
    for file in SOURCE.rglob("*.py"):
        folder = file.relative_to(SOURCE).parts[0]
        allowed = declared().union(*(declared(extra) for extra in NEEDS.get(folder, ())))
        for name in {name.split(".")[0] for name in imports_of(file)}:
            if name in sys.stdlib_module_names or name in ("samix", *ON_DEMAND):
                continue
            package = DISTRIBUTIONS.get(name, name).lower().replace("_", "-")
            assert package in allowed, f"{file} imports {name}, which {folder} does not declare"
            seen.add(package)
    assert {"torch", "pillow", "safetensors", "huggingface-hub", "lightning"} <= seen


@needs_toml
def test_every_package_has_a_floor() -> None:
    text = (SOURCE.parents[1] / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    for line in chain(project["dependencies"], *project["optional-dependencies"].values()):
        assert ">=" in line or line.startswith("samix["), line
