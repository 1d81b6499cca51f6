"""Documents: every Python block of the README and the docs runs, and what they name exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from torch.compiler import set_stance

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "README.ja.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {}
    with set_stance("force_eager"):  # no kernels are made of what is compiled: minutes
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


def test_the_readme_is_short_and_says_what_a_reader_comes_for() -> None:
    for name in ("README.md", "README.ja.md"):
        text = (ROOT / name).read_text()
        assert len(text.splitlines()) <= 120
        for wanted in ("git clone", "make demo", "make test", "BatchMix", "samix poc", "LICENSE"):
            assert wanted in text, (name, wanted)
    assert (ROOT / "docs/images/strip.png").stat().st_size < 300_000


def test_the_readmes_tell_the_same_figures() -> None:
    """Both measure tables have as many rows, with the same numbers in each."""
    rows = []
    for name, heading in (("README.md", "## What we measured"), ("README.ja.md", "## 測定結果")):
        section = (ROOT / name).read_text().split(heading)[1].split("\n## ")[0]
        lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
        rows.append([sorted(re.findall(r"\d+\.\d+|\d+(?= ?%)", line)) for line in lines])
    assert rows[0] == rows[1]


def test_the_page_on_installing_names_every_extra() -> None:
    section = (ROOT / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1]
    extras = set(re.findall(r"^(\w+) = \[", section.split("\n[")[0], re.MULTILINE))
    assert {"train", "poc"} <= extras
    text = (ROOT / "docs/install.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == extras - {"dev", "docs"}


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
