"""The site: every page is in its navigation, every policy has its card, links lead somewhere."""

from __future__ import annotations

import importlib.util
import inspect
import posixpath
import re
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from PIL import Image

import samix
from samix.cli import create_parser, parsers_of
from samix.shown import flag_of, flagged
from samix.training import PretrainConfig, TrainConfig

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CARDS = DOCS / "policies"


def load(name: str) -> ModuleType:
    """A program of docs/, which is no package."""
    sys.path.insert(0, str(DOCS))
    try:
        spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(DOCS))


hooks, maker = load("site_hooks"), load("make_cards")
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
RUN = "run: python docs/make_cards.py"


def pages_of(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    values = nav.values() if isinstance(nav, dict) else nav
    return [page for value in values for page in pages_of(value)]


NAMED = pages_of(hooks.expanded(CONFIG["nav"]))
MADE = hooks.made_pages()


def test_the_navigation_names_every_page_once_and_no_other():
    written = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert not written & set(MADE)
    assert sorted(NAMED) == sorted(written | set(MADE))


def test_nothing_is_asked_of_other_hosts_and_warnings_are_errors():
    assert CONFIG["theme"]["font"] is False
    assert CONFIG["strict"] is True
    assert "repo_url" not in CONFIG  # the theme would ask for its stars
    assert "http" not in (DOCS / "site.css").read_text()
    for name in CONFIG["extra_css"]:
        assert (DOCS / name).is_file()


@pytest.mark.parametrize("name", list(samix.POLICIES))
def test_every_policy_has_a_card_and_a_picture(name):
    path = CARDS / f"{name}.md"
    assert path.exists(), f"there is no card of '{name}': write its notes and {RUN}"
    text = path.read_text()
    for heading in ("How to use", "Good at", "Bad at", "Hyper-parameters", "Source"):
        assert f"\n## {heading}\n" in text
    with Image.open(CARDS / "images" / f"{name}.webp") as picture:
        assert picture.width > 400
        assert len(picture.convert("L").getcolors(65536)) > 50  # something is on it


def test_cards_say_what_the_policies_say():
    notes, times = maker.load("notes.yaml"), maker.load("times.json")
    assert set(notes) == set(samix.POLICIES), "docs/policies/notes.yaml: one entry a policy"
    for name, text in maker.pages(notes, times).items():
        assert (CARDS / name).read_text() == text, f"{name} is not what the policies say: {RUN}"
    written = {path.name for path in CARDS.glob("*.md")}
    assert written == set(maker.pages(notes, times))


def test_what_is_written_by_hand_is_complete():
    for name, entry in maker.load("notes.yaml").items():
        assert set(entry) == {"good", "bad", "start"}, name
        for point in (*entry["good"], *entry["bad"], entry["start"]):
            assert point.endswith("."), (name, point)


@pytest.mark.parametrize("kind", [TrainConfig, PretrainConfig])
def test_options_are_told_as_their_fields_say(kind):
    page = MADE["options.md"].partition(f"\n## samix {kind.command}\n")[2].partition("\n## ")[0]
    told = {field.name: field.metadata.get("help", "") for field in fields(kind)}
    assert sum(map(bool, told.values())) > 50
    for name, words in told.items():
        if words:
            names = ("`DATA`",) if name == "data" else (f"`{flag_of(name)} ", f"`{flag_of(name)}`")
            row = next(row for row in page.splitlines() if any(start in row for start in names))
            shown = flagged(words, kind.names()).replace("|", "\\|")
            assert shown in row or name == "preset", name  # which the command knows more about


def test_every_option_of_every_command_is_told():
    page = MADE["options.md"]
    for name, parser in parsers_of(create_parser()):
        part = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for action in parser._actions:
            for flag in action.option_strings:
                assert f"`{flag}" in part or flag in ("-h", "--help"), (name, flag)


def test_pictures_are_small():
    assert sum(path.stat().st_size for path in CARDS.rglob("*.*")) < 1_000_000


def test_a_picture_is_drawn_again_as_it_is_committed():
    import numpy as np

    pictures = load("policy_pictures")
    drawn = np.asarray(pictures.draw_picture("cutmix")).astype(int)
    with Image.open(CARDS / "images" / "cutmix.webp") as committed:
        kept = np.asarray(committed.convert("RGB")).astype(int)
    assert drawn.shape == kept.shape
    assert np.abs(drawn - kept).mean() < 4  # what the file format loses


@pytest.mark.parametrize("page", NAMED)
def test_links_of_the_site_lead_to_its_pages(page):
    text = MADE.get(page) or (DOCS / page).read_text()
    prose = re.sub(r"^```.*?^```", "", hooks.relinked(text, page), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"(?<!!)\]\(([^)#\s]+)", prose):
        if ":" not in target:
            place = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
            is_file = not place.endswith(".md") and (DOCS / place).is_file()  # a picture, a page
            assert place in NAMED or is_file, target


def test_links_are_changed_as_they_should_be():
    made = hooks.relinked
    assert made("[a](poc.md#why)", "index.md") == "[a](poc.md#why)"
    assert made("[a](../README.md)", "poc.md") == "[a](index.md)"
    assert made("[a](../README.md#what-we-measured)", "poc.md") == "[a](results.md)"
    assert made("[a](docs/guard.md) [b](CHANGELOG.md)", "results.md") == (
        "[a](guard.md) [b](changes.md)"
    )
    assert made("[a](../README.ja.md)", "poc.md") == "[a](ja/index.md)"
    assert made("[a](../poc.md)", "ja/index.md") == "[a](../poc.md)"
    assert made("[`a`](../examples/collate.py)", "drop_in.md") == "[`a`](examples/collate.md)"
    assert made("[all](../examples)", "drop_in.md") == "[all](examples/index.md)"
    assert made("[a](../policies.md)", "policies/fmix.md") == "[a](../policies.md)"
    assert made("[a](fmix.md) ![x](images/a.webp)", "policies/fmix.md").endswith("(images/a.webp)")
    webp = "images/few_labels.webp"
    assert made(f"![x](../../docs/{webp})", "measurements.md") == f"![x]({webp})"
    assert made("[data](../benchmarks/results/verdict.csv).", "poc.md") == "data."
    assert made("[a](https://b.c/d)", "poc.md") == "[a](https://b.c/d)"
    assert made("[a](samix.mixing.md#b)", "reference/samix.md") == "[a](samix.mixing.md#b)"
    assert made("[a](fmix.md)", "reference/samix.md") == "a"
    assert made("[a](collate.py)", "examples/index.md") == "[a](collate.md)"
    code = "```python\nx[a](b)\n```"
    assert made(code, "poc.md") == code


def test_the_reference_holds_every_public_name():
    """Each is in the table of all, which leads to the place where it is described."""
    table = MADE["reference/samix.md"]
    rows = dict(re.findall(r"^\| \[`(\w+)`\]\(([\w.#]+)\) \| \S.* \|$", table, re.MULTILINE))
    assert set(rows) == set(samix.__all__) - {"__version__"}
    for name, link in rows.items():
        page, _, place = link.partition(".md#")
        assert f"\n::: {place}\n" in MADE[f"reference/{page}.md"], name
        module, _, attribute = place.rpartition(".")
        assert getattr(sys.modules[module], attribute) is getattr(samix, name)


def test_a_module_is_not_described_in_the_place_of_a_function_of_its_name():
    assert "\n::: samix.mixing.blend.blend\n" in MADE["reference/samix.mixing.md"]
    assert "\n::: samix.mixing.blend\n" not in MADE["reference/samix.mixing.md"]


def described() -> dict[str, str]:
    """The docstrings of the reference: of every public name, and of the methods of classes."""
    found = {}
    for package in hooks.PACKAGES[1:]:
        module, names = hooks.offered(package)
        for name in names:
            value = getattr(module, name)
            found[f"{package}.{name}"] = inspect.getdoc(value) or ""
            for inner, method in vars(value).items() if inspect.isclass(value) else ():
                if inspect.isfunction(method) and not inner.startswith("_"):
                    found[f"{package}.{name}.{inner}"] = inspect.getdoc(method) or ""
    return found


def test_the_reference_says_what_is_raised_and_when():
    """Not "It cannot.", which a reader of the reference cannot know the subject of."""
    for name, text in described().items():
        for raised in re.findall(r"Raises:\n((?:    .*\n?)+)", text):
            for said in re.findall(r"^    \w+: (.*(?:\n {8}.*)*)", raised, re.MULTILINE):
                assert len(said) > 15, (name, said)
                assert not re.match(r"(It|They|There) ", said), (name, said)
