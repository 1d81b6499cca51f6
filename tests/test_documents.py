"""Documents: every Python block of the README and the docs runs, and what they name exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "README.ja.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NEEDED = {"hf_trainer.py": "transformers"}  # an example of an extra that is not for development


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), space)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_those_of_the_parser(page: Path) -> None:
    from samix.cli import create_parser

    parser = create_parser()
    for block in blocks(page, "(?:sh|console)"):
        for line in block.replace("\\\n", " ").splitlines():
            words = line.removeprefix("$ ").split("#")[0].split()
            if words[:1] == ["samix"]:
                parser.parse_args(words[1:])


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_examples_run(example: Path) -> None:
    assert len(example.read_text().splitlines()) < 100
    needed = NEEDED.get(example.name)
    if needed is not None:
        pytest.importorskip(needed, reason=f"{example.name} needs '{needed}', which is not here")
    space = {"__name__": "__main__", "__file__": str(example)}
    exec(compile(example.read_text(), str(example), "exec"), space)


def test_every_tracked_file_speaks_of_the_project_alone() -> None:
    """No registry address, no path of a machine."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".md", ".py", ".toml", ".txt", ".yaml", ".yml", "") and path.is_file():
            text = path.read_text(errors="replace")
            assert not re.search(r"(?:^|[\s\"'(])/(?:work|root|home)/\w", text), name
            assert "pypi" + ".org" not in text, name
