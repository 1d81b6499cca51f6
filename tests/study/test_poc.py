"""The report of a PoC: complete in both languages, harmless whatever the user's names are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from samix.errors import InputError
from samix.pages import words
from samix.pages.charts import mark_path, styles_of
from samix.pages.words import Words, both, clipped, dictionary, duration, short, word
from samix.study.report import page
from samix.study.report.first_screen import advice_of, risks_of
from samix.study.report.page import write_poc_report
from samix.study.report.view import about, view_of
from samix.study.wording import policy_words
from tests.pages.test_words import SOURCE, keys_used

from .pocs import (
    PATH,
    PRICES,
    SCRIPT,
    bare_findings,
    clean_health,
    health,
    pictures,
    png,
    study_of,
    whole_findings,
)

JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
# said where pictures are drawn
PICTURES = {"picture-no-captum", "picture-no-run"}


class Reader(HTMLParser):
    """Collects what a browser would see: text by language, tags, and every reference."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str | None]] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.policy = self.title = ""
        self.text: dict[str | None, list[str]] = {"en": [], "ja": [], None: []}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.references += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "data")]
        if given.get("http-equiv"):
            self.policy = given.get("content") or ""
        inside = self.open[-1][1] if self.open else None
        if tag not in ("meta", "img", "br", "link"):
            own = None if tag == "html" else given.get("lang")
            self.open.append((tag, own or inside))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and [tag for tag, _ in self.open[-2:]] == ["head", "title"]:
            self.title = data
        elif data.strip() and (not self.open or self.open[-1][0] not in ("style", "script")):
            self.text[self.open[-1][1] if self.open else None].append(data.strip())


def page_of(tmp_path: Path, findings: dict[str, Any] | None = None, **options: Any) -> str:
    """The text of a report; the whole study unless given."""
    found = whole_findings() if findings is None else findings
    options.setdefault("study", study_of(found))
    write_poc_report(tmp_path / "report.html", found, **options)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def full_page(tmp_path: Path, **options: Any) -> str:
    return page_of(tmp_path, health=health(), pictures=pictures(), **options)


def test_one_file_that_needs_no_other(tmp_path: Path) -> None:
    read = Reader(full_page(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert all(one.startswith(("#", "data:image/png;base64,")) for one in read.references)
    assert sum(one.startswith("data:") for one in read.references) == 4
    assert "link" not in read.tags
    assert read.tags.count("script") == read.tags.count("style") == 1
    assert "default-src 'none'" in read.policy
    assert "script-src 'sha256-" in read.policy
    assert "unsafe" not in read.policy
    assert not read.open


def test_names_that_mean_harm_are_only_text(tmp_path: Path) -> None:
    page = full_page(tmp_path)
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 20
    read = Reader(page)
    for part in ("svg", "table"):  # in charts as well as in tables
        assert part in read.tags
    shown = [text for some in read.text.values() for text in some]
    assert sum(SCRIPT in text for text in shown) > 20
    assert sum(PATH in text for text in shown) > 5
    assert not any(tag.startswith("alert") for tag in read.tags)
    chart = page[page.index('id="title-recall"') :]
    chart = chart[chart.index('<svg viewBox="0 0 420') :]
    names = re.findall(r'class="name"[^>]*>(.*?)</text>', chart[: chart.index("</svg>")])
    assert "../../x" in names
    assert any(name.startswith("&lt;script") and SCRIPT not in name for name in names)


def test_the_first_screen_says_what_counts(tmp_path: Path) -> None:
    found = whole_findings()
    page = full_page(tmp_path)
    first = page[page.index('id="verdict"') : page.index('<section id="labels"')]
    assert found["verdict"]["kind"] == "adopt"
    for told in (
        "Train with samix: +",
        "samix で学習してください。",
        f"+{found['headline']['accuracy']['value']:.1f}",
        "EUR",
        "kWh",
        "worth nothing",
    ):
        assert told in first, told
    for name in ("accuracy", "label_efficiency", "consistency"):
        assert found["headline"][name] is not None
    sentence = found["headline"]["label_efficiency"]["sentence"]
    assert sentence["en"] in first
    assert sentence["ja"] in first
    for notes, place in ((found["verdict"]["risks"], first), (found["notes"], page)):
        for note in notes:
            for language in ("en", "ja"):
                escaped = note[language].replace("<", "&lt;").replace(">", "&gt;")
                assert escaped.replace("'", "&#39;") in place
    assert "The guard accepted 97.0\u00a0% of the mixes of samix" in first
    assert "2 of 60 planned trainings failed or are missing." in first


def test_every_part_is_there(tmp_path: Path) -> None:
    page = full_page(tmp_path)
    for key in ("labels", "policies", "cost", "recall", "inspection", "modes", "calibration",
                "confusion", "wrong", "mixes", "where", "health", "method", "cells",
                "again"):  # fmt: skip
        assert f'<section id="{key}"' in page
        assert f'href="#{key}"' in page
    for key in (
        "forest",
        "curve",
        "cost",
        "recall",
        "confusion",
        "inspection",
        "modes",
        "calibration",
        "balance",
    ):
        chart = page[page.index(f'id="title-{key}"') :]
        chart = chart[: chart.index("</figure>")]
        assert f'aria-labelledby="title-{key}"' in chart
        assert "<details" in chart
        assert chart.count("<tr") > 3
    for told in ("samix poc &#39;photos/", "resnet18", "2.12.0", "Linux x86_64", "2.0 h",
                 "50 (40 epochs), 400 (25 epochs)", "4.8 points",
                 "epochs of pre-training"):  # fmt: skip
        assert told in page, told
    assert "supervised/samix-p-400-s1" in page
    assert "self-supervised/mixup-50-s2" in page


def test_the_numbers_are_those_of_the_findings(tmp_path: Path) -> None:
    found = whole_findings()
    page = page_of(tmp_path, found)
    curve = page[page.index('id="title-curve"') :]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", curve[: curve.index("</figure>")])[1:]
    assert len(rows) == len(found["curve"])
    one = next(r for r in found["curve"] if (r["mode"], r["policy"], r["labels"]) ==
               ("supervised", "samix", 400))  # fmt: skip
    row = next(r for r in rows if "教師あり" in r and ">samix<" in r and ">400<" in r
               and "自己" not in r)  # fmt: skip
    assert f"{100 * one['score']:.1f}\u00a0%" in row
    assert f"{100 * one['low']:.1f}\u00a0\u2026 {100 * one['high']:.1f}" in row
    drawn = curve[curve.index('<svg viewBox="0 0 420') :]
    tip = f"samix, 400: {100 * one['score']:.1f}"
    assert tip in drawn[: drawn.index("</svg>")]


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_one_language_alone(tmp_path: Path, lang: str) -> None:
    page = full_page(tmp_path, lang=lang)
    read = Reader(page)
    assert f'<html lang="{lang}"' in page
    assert "button" not in read.tags
    assert not read.text["en"]
    assert not read.text["ja"]
    shown = "\n".join(read.text[None])
    assert bool(JAPANESE.search(shown)) == (lang == "ja")
    assert ("Train with samix" in shown) == (lang == "en")


def test_both_languages_say_the_same_number_of_things(tmp_path: Path) -> None:
    read = Reader(full_page(tmp_path))
    assert len(read.text["en"]) == len(read.text["ja"]) > 300
    assert not [text for text in read.text["en"] if JAPANESE.search(text)]
    assert not [text for text in read.text["ja"] if not JAPANESE.search(text)]
    assert read.title == f"PoC report: {SCRIPT} / PoC レポート：{SCRIPT}"
    # what stands outside of both is a name, a number or the switch
    rest = [text for text in read.text[None] if JAPANESE.search(text) and " / " not in text]
    assert rest == ["日本語"]
    reasons = ("samix poc 'photos", f"The disk of '{SCRIPT}' is full.", "It is torn.")
    rest = [t.replace(SCRIPT, "") for t in read.text[None] if not t.startswith(reasons)]
    assert not [t for t in rest if len(re.findall(r"\b[a-z]{2,}\b(?![,-])", t)) > 3]


def test_an_unknown_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lang: expected one of both, en, ja, got 'fr'\."):
        page_of(tmp_path, lang="fr")
    assert list(tmp_path.iterdir()) == []


def test_every_word_of_the_page_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = set()

    class Asked(dict[str, Words]):
        def __getitem__(self, key: str) -> Words:
            used.add(key)
            return super().__getitem__(key)

    known = dictionary()
    asked = Asked(known)
    monkeypatch.setattr(words, "dictionary", lambda: asked)
    full_page(tmp_path)
    page_of(tmp_path, bare_findings(), study={})
    for kind in ("adopt-light", "use-simple", "mixer-not-alive", "do-not-adopt", "not-proven"):
        page_of(tmp_path, changed_kind(kind), health=clean_health())
    page_of(tmp_path, unanswered(), health=kept_together())
    page_of(tmp_path, longer())
    for found in (undecided(more_seeds=7), undecided(more_seeds=None, more_parts=40),
                  undecided(more_seeds=None), ahead("mixup"), ahead("none-long")):  # fmt: skip
        page_of(tmp_path, found)
    page_of(tmp_path, risky(), pictures=[{**pictures()[0], **JUDGED}] * 2, study={
        "plan": {}, "prices": {}, "data": {"seen": 1}})  # fmt: skip
    page_of(tmp_path, frozen(), study=LOOKS)
    nothing = changed_kind("not-proven")
    nothing["verdict"]["risks"] = []
    nothing["calibration"], nothing["guard"] = [], None
    nothing["cells"] |= {"failed": [], "missing": []}
    for row in nothing["policies"]:
        row["gain"] = row["gain"] if row["policy"] == "samix" else None
    page_of(tmp_path, nothing, study={"plan": {"seeds": list(range(100))}})
    page_of(tmp_path, odd_findings(), study={"machine": "a machine"}, health=odd_health())
    pages = Path(page.__file__).parent
    files = [file for file in pages.glob("*.py") if file.name != "picture_rows.py"]
    own = keys_used(iter(files), (pages / "templates").glob("*.html"))
    others = [f for f in SOURCE.rglob("*.py") if not f.is_relative_to(SOURCE / "study")]
    elsewhere = keys_used(iter(others), iter(()))  # of other pages
    assert sorted(own - used - PICTURES - elsewhere) == []
    assert used <= set(known)


LOOKS = {"plan": {"design": "sequential", "looks": {"2": 0.2, "3": 0.8}}}


def test_intervals_of_a_study_that_looks_twice_say_so(tmp_path: Path) -> None:
    once, twice = (page_of(tmp_path, whole_findings(), study=s) for s in ({}, LOOKS))
    for told in ("may decide after 2 and 3 seeds", "各区間は、1 回の判定だけを想定した"):
        assert told not in once
        assert told in twice


def undecided(**numbers: int | None) -> dict[str, Any]:
    """Not proven, with what would decide."""
    found = changed_kind("not-proven")
    found["verdict"]["numbers"] = {"difference_to_show": 1.0, "more_parts": None, **numbers}
    return found


def ahead(policy: str) -> dict[str, Any]:
    """No learned policy is recommended; of the free ones this one is proven ahead."""
    found = changed_kind("do-not-adopt")
    for row in found["policies"]:
        row |= {"p_holm": 0.001, "gain": 5.0 if row["policy"] == policy else 0.0}
    return found


def risky() -> dict[str, Any]:
    """Little room, confidences that mislead, and many classes without enough parts."""
    found = undecided(more_seeds=1)
    for row in found["policies"]:
        row["score"] = 0.981
    for row in found["calibration"]:
        row["error"] = 0.25 if row["policy"] == "samix" else 0.02
    found["verdict"]["risks"] = [{"en": f"Risk {n}.", "ja": f"リスク {n}。"} for n in range(9)]
    return found


def unanswered() -> dict[str, Any]:
    """No training of the main question finished, and two sides were to be told apart."""
    found = whole_findings()
    found["data"] = {**found["data"], "measure": "detection"}
    found["headline"] = dict.fromkeys(found["headline"])
    found["verdict"] |= {"kind": "not-proven", "labels": 4000, "risks": []}
    found["verdict"] |= {"compared": [], "numbers": {}}
    for name in ("verdicts", "labels_worth"):
        found[name] = []
    return found


def longer() -> dict[str, Any]:
    """The verdict is to train longer, which was done with all labels alone, as samix poc does."""
    found = changed_kind("use-simple")
    found["verdict"]["policy"] = "none-long"
    found["headline"]["label_efficiency"] = None
    found["curve"] = [
        row for row in found["curve"] if row["policy"] != "none-long" or row["labels"] == 400
    ]
    return found


def changed_kind(kind: str) -> dict[str, Any]:
    found = whole_findings()
    found["verdict"]["kind"] = found["verdicts"][0]["kind"] = kind
    return found


def frozen() -> dict[str, Any]:
    """The frozen encoder is what to use."""
    found: dict[str, Any] = json.loads(
        json.dumps(changed_kind("use-simple")).replace('"mixup"', '"frozen"')
    )
    found["verdict"]["policy"] = "frozen"
    return found


def test_the_frozen_encoder_is_named_and_described(tmp_path: Path) -> None:
    page_en = page_of(tmp_path, frozen())
    assert "Use the frozen encoder with a linear head, which trains no network" in str(page_en)
    assert "an encoder trained on ImageNet, which stays as it is" in str(page_en)


JUDGED = {"policy": "samix", "judged": {"mixes": 64, "rejected": 18}}


@pytest.mark.parametrize(
    ("make", "en", "ja"),
    [
        (partial(undecided, more_seeds=7),
         "Keep plain training. To decide about samix: 35 more trainings, "
         "about 31 min.",
         "通常学習を続けてください。samix については、"
         "乱数シードを変えた学習をあと 35 回行えば判定できます（約 31 分）。"),
        (partial(undecided, more_seeds=None, more_parts=40),
         "Keep plain training. To decide about samix: "
         "40 more labelled test parts.",
         "通常学習を続けてください。samix については、"
         "ラベル付きテスト用個体をあと 40 個加えれば判定できます。"),
        (partial(ahead, "mixup"),
         "Use mixup, which needs no Mixer. samix is not worth adopting here.",
         "Mixer の要らない mixup を使用してください。"
         "このデータでは samix を採用する価値は認められません。"),
        (partial(ahead, "none-long"),
         "Keep plain training, but train longer: mixing is not ahead of that. "
         "samix is not worth adopting here.",
         "通常学習のまま、学習時間を延ばしてください。混合はこれを上回りません。"
         "このデータでは samix を採用する価値は認められません。"),
    ],
)  # fmt: skip
def test_the_page_says_what_to_do(make: Callable[[], dict[str, Any]], en: str, ja: str) -> None:
    found = make()
    study = study_of(found)
    for row in found["policies"]:
        row["seconds"] = 105.7  # 5 policies, 7 seeds, 2 at a time
    told = advice_of(view_of(found, study))
    assert (told.en, told.ja) == (en, ja)


def test_what_is_worst_is_told_first(tmp_path: Path) -> None:
    found = risky()
    shown = [{**pictures()[0], **JUDGED}] * 2
    told = [one.en for one in risks_of(view_of(found, study_of(found)), shown)]
    assert told[:2] == [
        "Little room: plain training reaches 98.1\u00a0%, so that at most 1.9 points can be "
        "gained.",
        "Confidence of samix is off by 25.0\u00a0% on average (2.0\u00a0% with plain training): "
        "choose thresholds anew before they are used.",
    ]  # fmt: skip
    leaky = {"data": {"seen": 6, "photos": {"test": 9}}}
    assert risks_of(view_of(found, leaky), shown)[0].en.startswith("Of 9 test photos, 6 were learn")
    assert told.count("Of 64 mixes of samix the guard would reject 28\u00a0%: what their labels "
                      "promise cannot be seen.") == 1  # fmt: skip
    page = page_of(tmp_path, found, pictures=shown)
    folded = page[page.index("<summary>") :]
    assert "Risk 8." in page[page.index('id="risks"') :]
    assert folded


def odd_findings() -> dict[str, Any]:
    """What the other studies do not have."""
    found = whole_findings()
    found["data"] = {**found["data"], "measure": "balanced_accuracy", "parts": {}}
    found["verdict"]["numbers"] |= {
        "difference_to_show": 2.0, "more_seeds": 3, "more_parts": 200, "more_seeds_together": 1,
        "more_parts_together": 90,
    }  # fmt: skip
    script = {"measure": f"recall:{SCRIPT}", "points": -3.0}
    found["verdict"]["compared"].append({**found["verdict"]["compared"][0], **script})
    others = {"samix-p": "samix-fast", "mixup": "cutmix", "none-long": "mixup-cutmix-long"}
    tables = [rows for rows in found.values() if isinstance(rows, list)]
    for row in (*(row for rows in tables for row in rows), *found["consistency"]["policies"]):
        if row.get("policy") in others:
            row["policy"] = others[row["policy"]]
        if row.get("policy") == "samix-fast" and row.get("mode") == "self-supervised":
            row["policy"] = "resizemix"
        if "seconds" in row:
            row["seconds"] = 9000.0
    found["verdict"]["risks"], found["guard"] = [], None
    found["cells"] = {**found["cells"], "failed": [], "missing": []}
    names = [f"class {n}" for n in range(20)]
    first = found["recalls"][0]
    found["recalls"] = [{**first, "mode": "supervised", "labels": 400, "class": name,
                         "judgeable": False} for name in names]  # fmt: skip
    return found


def kept_together() -> dict[str, Any]:
    found = health()
    found["duplicates"] = {**found["duplicates"], "split": 0, "examples": []}
    return found


def odd_health() -> dict[str, Any]:
    found = health()
    found["duplicates"] = {**found["duplicates"], "searched": False}
    one = found["classes"][0]
    found["classes"] = [{**one, "class": f"class {n}"} for n in range(20)]
    return found


def test_a_study_without_most_things_says_what_is_not_known(tmp_path: Path) -> None:
    found = bare_findings()
    assert found["consistency"] is None
    assert found["inspection"] == []
    assert found["calibration"] == []
    read = Reader(page_of(tmp_path, found, study={}))
    shown = "\n".join(read.text["en"])
    for told in ("Nobody looked at the data.", "Planned: 15. Finished: 12. Failed: 3. Missing: 0."):
        assert told in shown, told
    assert "None" not in shown
    assert not re.search(r"\bnan\b", shown)
    assert "supervised/mixup-400-s0" in "\n".join(read.text[None])


def test_only_the_seeds_that_were_trained_are_named(tmp_path: Path) -> None:
    found = bare_findings()
    found["curve"] = [{**row, "seeds": 3} for row in found["curve"]]
    page = page_of(tmp_path, found, study={"plan": {"seeds": list(range(8))}})
    assert "0, 1, 2 (of 8 at most)" in page
    assert "0, 1, 2（最大 8 個）" in page
    page = page_of(tmp_path, found, study={"plan": {"seeds": [0, 1, 2]}})
    assert "0, 1, 2</dd>" in page


def test_nothing_is_empty(tmp_path: Path) -> None:
    """Where there is nothing to show there is no card, no column and no section."""
    page = page_of(tmp_path, bare_findings(), study={})
    sections = re.findall(r'<section id="(\w+)"', page)
    assert sections == ["verdict", "first", "risks", "policies", "cost", "recall", "confusion",
                        "health", "method", "cells", "again"]  # fmt: skip
    links = re.findall(r'<a href="#(\w+)"', page[: page.index("</nav>")])
    assert links == sections[3:]
    assert "<p></p>" not in page
    assert page.count('class="card"') == page.count('class="cardvalue">') == 3
    assert '<p class="cardvalue">\u2014' not in page
    for table in re.findall(r"<tbody>(.*?)</tbody>", page, flags=re.S):
        rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in table.split("<tr")[1:]]
        assert not [at for at in range(1, len(rows[0])) if all(r[at] == "\u2014" for r in rows)]


def test_a_policy_without_any_finished_training_is_named(tmp_path: Path) -> None:
    found = bare_findings()
    page = page_of(tmp_path, found, study=study_of(found))
    gains = page[page.index('<section id="policies"') : page.index('<section id="cost"')]
    assert gains.count(">mixup<") == 1  # in the list of what the policies are
    table = gains[: gains.index("</table>")]
    assert ">mixup<" not in table  # it has no number
    assert "supervised/mixup-400-s0" in page[page.index('<section id="cells"') :]


def test_a_verdict_without_an_answer(tmp_path: Path) -> None:
    shown = "\n".join(Reader(page_of(tmp_path, unanswered())).text["en"])
    assert "Nothing is shown about samix yet." in shown


def test_pictures_may_be_files_and_must_be_pngs(tmp_path: Path) -> None:
    file = tmp_path / f"a{PATH.replace('/', '_')}.png"
    file.write_bytes(png())
    row = pictures()[1]
    del row["png"]
    page = page_of(tmp_path, pictures=[{**row, "path": str(file)}])
    assert page.count("data:image/png;base64,") == 1
    with pytest.raises(InputError, match=r"gone.png' cannot be read \(No such file"):
        page_of(tmp_path, pictures=[{**row, "path": tmp_path / "gone.png"}])
    file.write_text("<svg onload=alert(1)>")
    with pytest.raises(InputError, match="is no PNG file"):
        page_of(tmp_path, pictures=[{**row, "path": file}])
    with pytest.raises(InputError, match="part 'other' is unknown; expected mixes, where"):
        page_of(tmp_path, pictures=[{**row, "part": "other"}])
    with pytest.raises(InputError, match="state 'green' is unknown"):
        page_of(tmp_path, pictures=[{**row, "state": "green", "png": png()}])


def test_a_caption_is_told_once(tmp_path: Path) -> None:
    page = page_of(tmp_path, pictures=pictures())
    assert page.count(">How to read it.<") == 3  # once for the mixes, where and what is wrong


def test_file_names_of_broken_letters_do_not_stop_it(tmp_path: Path) -> None:
    found = whole_findings()
    found["cells"]["failed"] = [{"cell": "part\udce4.png", "reason": "bad\udcff\x00name"}]
    page = page_of(tmp_path, found)
    assert r"part\udce4.png" in page
    assert r"bad\udcff\x00name" in page


def test_findings_of_another_version_are_refused(tmp_path: Path) -> None:
    found = whole_findings()
    found["version"] = 2
    with pytest.raises(InputError, match=r"version 2, expected 1.* another version of samix"):
        page_of(tmp_path, found)
    found = whole_findings()
    del found["curve"]
    with pytest.raises(InputError, match="The findings have no 'curve'"):
        page_of(tmp_path, found)
    assert not (tmp_path / "report.html").exists()


def test_policies_look_different_even_without_colour() -> None:
    names = ["none", "mixup", "cutmix", "mixup-cutmix", "samix-p", "samix-fast", "samix"]
    styles = styles_of([*names, *(f"{name}-long" for name in names[:4]), "resizemix", "fmix"])
    looks = {(style.shape, style.hollow) for name, style in styles.items() if "mix" in name}
    assert len(looks) == len([name for name in styles if "mix" in name])
    assert len({style.colour for name, style in styles.items() if name in names}) == len(names)
    assert styles["none-long"].colour == styles["none"].colour
    with pytest.raises(ValueError, match="expected one of"):
        mark_path("heart", 0, 0, 1)


def test_policies_stand_in_one_order() -> None:
    view = view_of(whole_findings(), {})
    assert view.policies == ("none", "mixup", "none-long", "samix-p", "samix")
    assert view.shown == ("none", "samix")
    assert view.rows("policies")[0]["mode"] == "supervised"


def test_a_rival_with_clean_images_is_called_that() -> None:
    assert policy_words("mixup-clean-long").en == "mixup (clean images), longer"
    assert about("mixup-clean").en.endswith("it learns from clean images as well")
    assert about("samix").en.endswith("it learns from clean images as well")
    assert about("mixup").en == "blends two photos as a whole"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.00344, "0.00344"), (12.345, "12.3"), (1234.5, "1,234"), (-0.5, "\u22120.500"),
     (None, "\u2014"), (float("inf"), "\u2014"), (True, "\u2014")],
)  # fmt: skip
def test_numbers_are_short(value: Any, shown: str) -> None:
    assert short(value) == shown


def test_words_and_names() -> None:
    assert duration(62).ja == "62 秒"
    assert duration(600).en == "10 min"
    assert duration(7200).en == "2.0 h"
    assert word("kind-adopt", policy="{policy}").en == "Adopt {policy}."
    assert clipped("傷" * 20, 15) == "傷" * 7 + "\u2026"
    assert clipped("short", 15) == "short"
    with pytest.raises(ValueError, match="got no 'ja'"):
        both({"en": "only"})


def test_prices_of_the_study_name_the_currency(tmp_path: Path) -> None:
    found = whole_findings()
    study = {**study_of(found), "prices": {**PRICES, "currency": "<b>"}}
    assert "money (&lt;b&gt;)" in page_of(tmp_path, found, study=study)
