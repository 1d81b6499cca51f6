"""report.html of a PoC: one file for the manager who decides and the engineer who checks."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from samix.errors import InputError
from samix.files import write_text
from samix.pages.parts import Lines, legible
from samix.shown import shown

from .poc_first import first_of
from .poc_parts import Chart, Code, Facts, Grid, Picture, Points
from .poc_sections import sections_of
from .poc_style import mark_path
from .poc_text import Both, both, word
from .poc_view import view_of

Lang = Literal["both", "en", "ja"]
_KINDS = {
    "grid": Grid, "chart": Chart, "facts": Facts, "points": Points, "code": Code,
    "picture": Picture,
}  # fmt: skip


def write_poc_report(
    path: str | Path,
    findings: Mapping[str, Any],
    *,
    study: Mapping[str, Any],
    health: Mapping[str, Any] | None = None,
    pictures: Sequence[Mapping[str, Any]] = (),
    lang: str = "both",
) -> None:
    """Write the report of a PoC as one page that needs no other file and no network.

    Everything from the user (names of files, classes and data) is escaped; besides, the page
    forbids the browser every request and every script but its own.

    Args:
        path: The HTML file; it appears as a whole or not at all.
        findings: What ``samix.study.find`` returns, findings.json.
        study: What poc.yaml holds; what is missing in it is left out.
        health: What ``samix.study.health.data_health`` returns; None where nobody looked.
        pictures: See :func:`samix.report.poc_pictures.picture_sections`.
        lang: "both" writes English and Japanese with a switch; "en" and "ja" one of them.

    Raises:
        InputError: An unknown language, findings of another version, or a picture that cannot be
            read.
    """
    if lang not in get_args(Lang):
        raise InputError(f"--lang must be one of {', '.join(get_args(Lang))}, got '{lang}'.")
    view = view_of(findings, study)
    first = first_of(view)
    template = _environment(lang).get_template("poc.html")
    style, script = _resource("poc.css"), _resource("poc.js")
    text = template.render(
        lang=lang, first=first, sections=sections_of(view, health, pictures),
        style=Markup(style), script=Markup(script),  # noqa: S704 - files of this package
        policy=_security(style, script),
    )  # fmt: skip
    # a file name of broken letters must not stop the report
    write_text(Path(path), text, errors="replace")


def _environment(lang: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("samix.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=legible,
    )  # fmt: skip
    environment.filters |= {
        "lines": Lines,
        "say": _say(lang),
        "uri": _uri,
        "one": lambda v: _one(v, lang),
    }
    environment.globals |= {"word": word, "mark_path": mark_path}
    for name, kind in _KINDS.items():
        environment.tests[name] = _is(kind)
    return environment


def _is(kind: type) -> Callable[[object], bool]:
    return lambda part: isinstance(part, kind)


def _say(lang: str) -> Callable[[Any, str], Markup]:
    """Return a filter that writes words in the languages of the page, escaped."""

    def say(value: Any, tag: str = "span") -> Markup:
        told = _legible(value)
        if lang != "both":
            return escape(_one(told, lang))
        if told.en == told.ja:
            return escape(told.en)
        return Markup("").join(
            Markup('<{tag} lang="{name}">{text}</{tag}>').format(tag=tag, name=name, text=text)
            for name, text in (("en", told.en), ("ja", told.ja))
        )

    return say


def _legible(value: Any) -> Both:
    """Return words with the names in them as they may be shown."""
    told = both(value)
    return Both(shown(told.en), shown(told.ja))


def _one(value: Any, lang: str) -> str:
    """Return words for a place that holds no markup: one language, or both beside each other."""
    told = _legible(value)
    if lang == "both":
        return told.en if told.en == told.ja else f"{told.en} / {told.ja}"
    return told.ja if lang == "ja" else told.en


def _security(style: str, script: str) -> str:
    """Return what the browser may do: show this style and these pictures, run this script."""
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _resource(name: str) -> str:
    return resources.files("samix.report").joinpath("templates", name).read_text("utf-8")


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
