"""What mkdocs is told beyond mkdocs.yml: pages made of the repository, the reference, and links.

Changes, measurements and examples become pages without a copy of them in docs/. Links to
files that are no page of the site become text.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import posixpath
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = {
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/results/README.md": "measurements.md",
    "examples": "examples/index.md",
}
MEASURED = "results.md"
FRONT = {"README.md": "index.md", "README.ja.md": "ja/index.md"}  # the site has its own front
PACKAGES = (
    "samix",
    "samix.mixing",
    "samix.policies",
    "samix.checking",
    "samix.networks",
    "samix.objectives",
    "samix.guard",
    "samix.methods",
    "samix.data",
    "samix.evaluation",
    "samix.study",
)
CARDS = "policies/*.md"
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def examples() -> list[Path]:
    """Return the example programs."""
    return sorted((ROOT / "examples").glob("*.py"))


def sources() -> dict[str, str]:
    """Return the page of the site for each file of the repository that becomes one."""
    return {**PAGES, **{f"examples/{p.name}": f"examples/{p.stem}.md" for p in examples()}}


@functools.cache
def made_pages() -> dict[str, str]:
    """Return the text of every page that does not lie in docs/, by its place in the site."""
    pages = {
        page: (ROOT / source).read_text(encoding="utf-8")
        for source, page in PAGES.items()
        if source.endswith(".md")
    }
    pages[MEASURED] = measured()
    rows = ["# Examples", "", "Each runs as it is, in seconds.", ""]
    for path in examples():
        code = path.read_text(encoding="utf-8")
        about = code.split('"""')[1]
        rows.append(f"- [{path.name}]({path.name}): {about.splitlines()[0]}")
        pages[f"examples/{path.stem}.md"] = (
            f"# {path.name}\n\n```sh\npython examples/{path.name}\n```\n\n```python\n{code}```\n"
        )
    pages["examples/index.md"] = "\n".join(rows) + "\n"
    pages["options.md"] = options()
    for package in PACKAGES:
        pages[f"reference/{package}.md"] = reference(package)
    return pages


def measured() -> str:
    """Return the page of what was measured: that section of the README, where the figures stand."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## What we measured\n")[1].split("\n## ")[0]
    return f"# What we measured\n{section}\n"


def options() -> str:
    """Return the options of every command, as their parsers have them from the fields' help."""
    from samix.cli import create_parser, parsers_of  # noqa: PLC0415 - only a build needs it

    lines = ["# Options of every command", "", "`samix COMMAND --help` says the same."]
    for name, parser in parsers_of(create_parser()):
        groups = [(group.title, option_rows(group)) for group in parser._action_groups]
        if any(rows for _, rows in groups):
            lines += ["", f"## {name}"]
        for title, rows in groups:
            if rows:
                lines += ["", f"| {' '.join((title or '').split())} | |", "|---|---|", *rows]
    return "\n".join(lines) + "\n"


def option_rows(group: Any) -> list[str]:
    """Return a line of the table for each option of a group that has help."""
    rows = []
    for action in group._group_actions:
        if not action.help or action.option_strings[:1] == ["-h"] or action.nargs == "A...":
            continue
        value = "" if action.nargs == 0 else f" {action.metavar or ''}".rstrip()
        names = ", ".join(f"`{name}{value}`" for name in action.option_strings)
        shown = (names or f"`{action.metavar or action.dest}`", action.help.replace("%%", "%"))
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in shown)} |")
    return rows


def reference(package: str) -> str:
    """Return the reference of a package: what it is, and everything that it offers.

    Args:
        package: Its name, such as "samix.mixing".
    """
    module, names = offered(package)
    about = inspect.getdoc(module) or ""
    blocks = [f"# {package}", f"```text\n{about}\n```" if "\n" in about else about]
    if package == "samix":
        return "\n\n".join([*blocks, public_names()]) + "\n"
    blocks += [f"::: {place_of(package, name)}" for name in names]
    return "\n\n".join(blocks) + "\n"


def public_names() -> str:
    """Return the table of what ``import samix`` offers, with links to where it is described."""
    module, names = offered("samix")
    known = {
        place_of(package, name): package for package in PACKAGES[1:] for name in offered(package)[1]
    }
    lines = ["| name | what it is |", "|---|---|"]
    for name in names:
        value = getattr(module, name)
        place = place_of("samix", name)
        if place not in known:  # a dict, whose place is that of the package that has it, too
            place = next((f"{p}.{name}" for p in PACKAGES[1:] if name in offered(p)[1]), "")
        link = f"[`{name}`]({known[place]}.md#{place})" if place in known else f"`{name}`"
        about = (inspect.getdoc(value) or "").split("\n\n")[0]
        is_code = inspect.isfunction(value) or inspect.isclass(value)
        text = " ".join(about.split()) if is_code else f"all {name.lower()} by name"
        lines.append(f"| {link} | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


@functools.cache
def offered(package: str) -> tuple[ModuleType, tuple[str, ...]]:
    """Return a package, and the names that it offers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module(package)
    return module, tuple(name for name in module.__all__ if not name.startswith("__"))


def place_of(package: str, name: str) -> str:
    """Return where something is defined, which no module of the same name can be mistaken for."""
    value = getattr(offered(package)[0], name)
    if inspect.isfunction(value) or inspect.isclass(value):
        return f"{value.__module__}.{value.__qualname__}"
    return f"{package}.{name}"


def policy_cards() -> list[str]:
    """Return the pages of all policies in the order of the registry, the table first."""
    from samix.policies import POLICIES  # noqa: PLC0415 - only a build needs it

    return ["policies/table.md", *(f"policies/{name}.md" for name in POLICIES)]


def expanded(nav: list[Any]) -> list[Any]:
    """Return a navigation in which ``policies/*.md`` stands for all cards.

    Args:
        nav: As mkdocs.yml has it.
    """
    found: list[Any] = []
    for entry in nav:
        if entry == CARDS:
            found += policy_cards()
        elif isinstance(entry, dict):
            found.append({k: expanded(v) if isinstance(v, list) else v for k, v in entry.items()})
        else:
            found.append(entry)
    return found


def relinked(text: str, page: str) -> str:
    """Return the text of a page with links that lead somewhere in the site.

    Args:
        text: Markdown, with links as the repository has them.
        page: Place of the page in the site.
    """
    known = sources()
    origin = {v: k for k, v in known.items()}.get(page, f"docs/{page}")
    known = {**known, **FRONT}
    if page == PAGES["examples"]:
        origin = "examples/index.md"
    if page == MEASURED:
        origin = "README.md"

    def replaced(found: re.Match[str]) -> str:
        picture, shown, target, place = found[1], found[2], found[3], found[4] or ""
        if ":" in target:
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        if (path, place) == ("README.md", "#what-we-measured"):
            return f"[{shown}]({posixpath.relpath(MEASURED, posixpath.dirname(page) or '.')})"
        inside = path.removeprefix("docs/")
        if path in known:
            new = known[path]
        elif path != inside and ((ROOT / path).is_file() or inside in made_pages()):
            new = inside
        else:
            return found[0] if picture else shown
        return (
            f"{picture}[{shown}]({posixpath.relpath(new, posixpath.dirname(page) or '.')}{place})"
        )

    parts = re.split(r"(^```.*?^```)", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if part.startswith("```") else _LINK.sub(replaced, part) for part in parts)


def on_config(config: Any) -> Any:
    """Put the cards of all policies into the navigation."""
    config.nav = expanded(config.nav)
    return config


def on_files(files: Any, *, config: Any) -> Any:
    """Add the pages that do not lie in docs/."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - only a build needs it

    make: Callable[..., Any] = File.generated
    for place, text in made_pages().items():
        files.append(make(config, place, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Change the links of a page to those of the site."""
    return relinked(markdown, page.file.src_uri)
