"""Pages that may be written in Japanese: nothing of the dictionary is left in English."""

from __future__ import annotations

import ast
import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samix.cli import main
from samix.pages.words import dictionary
from tests.cli.test_train import complaint
from tests.data.test_duplicates import dimmed, scene

from .test_words import JAPANESE, SENTENCE, SOURCE, texts

WORDS = re.compile("[A-Za-z]{2,},? [A-Za-z]{2,}")


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMIX_CACHE", str(tmp_path / "cache"))


def shown(page: str) -> str:
    """What a reader sees of a page."""
    body = re.sub(r"<(style|script)>.*?</\1>|\s(src|href)=\"[^\"]*\"", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", "\n", body))


def english(text: str) -> list[str]:
    """The sentences of the dictionary that stand in a text in English."""
    found = []
    for key, told in dictionary().items():
        pieces = [re.escape(one) for one in re.split(r"\{[^{}]*\}", told.en)]
        if WORDS.search(told.en) and told.en != told.ja and re.search(".{1,60}".join(pieces), text):
            found.append(key)
    return found


def photos_with_everything() -> None:
    """Given parts that share photos, labels that disagree, one look, a broken file."""
    numbers = {"train/良品": [1, 2, 3], "train/割れ": [4, -1], "test/良品": [-2, 5, 6]}
    for folder, photos in {**numbers, "test/割れ": [-4, 7]}.items():
        Path("photos", folder).mkdir(parents=True)
        for number in photos:
            photo = dimmed(scene(-number)) if number < 0 else scene(number)
            photo.save(Path("photos", folder, f"part{abs(number)}_{int(number < 0)}.png"))
    rng = np.random.default_rng(0)
    base = np.asarray(scene(9), dtype=np.float64)
    for i in range(14):
        noisy = (base + rng.normal(0, 3, base.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(Path("photos/train/良品", f"plate{i}.png"))
    for i in range(9):
        Path(f"photos/train/良品/copy{i}.png").write_bytes(
            Path("photos/train/良品/part3_0.png").read_bytes()
        )
    Path("photos/train/割れ/broken.png").write_bytes(b"no picture")


def test_a_check_in_japanese_holds_no_english_sentence(capsys) -> None:
    photos_with_everything()
    assert main(["check", "photos", "--output", "en"]) == 1
    said = capsys.readouterr().out
    assert main(["check", "photos", "--output", "ja", "--lang", "ja"]) == 1
    told = capsys.readouterr().out
    for text, page in ((said, "en"), (told, "ja")):
        seen = text + shown(Path(page, "check.html").read_text("utf-8"))
        found = english(seen)
        assert found == [] if page == "ja" else len(found) > 20, found
    page = Path("ja/check.html").read_text("utf-8")
    assert '<html lang="ja"' in page
    assert "既存の区分の間に同じ画像があります：テスト用画像 5 枚中 2 枚（40.0%）の" in page
    assert "画像 10 枚" in page
    assert "問題：読み込めない画像が 1 枚あります。" in told
    # the record is for programs, in English whatever the page speaks
    records = [Path(name, "check.json").read_text() for name in ("en", "ja")]
    assert "1 photo cannot be read." in records[1]
    same = [re.sub('"(command|created)": .*', "", one) for one in records]
    assert same[0] == same[1]


def test_a_preview_in_japanese_holds_no_english_sentence(capsys) -> None:
    words = ["preview", "demo:photos_per_class=6,size=16", "--pairs", "4", "--guard"]
    assert main([*words, "--policy", "mixup,cutmix,samix-p,saliencymix", "--lang", "ja",
                 "--output", "ja"]) == 0  # fmt: skip
    seen = capsys.readouterr().out + shown(Path("ja/preview.html").read_text("utf-8"))
    assert english(seen) == []
    assert "を、4 種類の手法で、同じ lam を使って混合しました" in seen
    records = json.loads(Path("ja/preview.json").read_text())["policies"]["cutmix"]["rows"]
    assert all("Guard, visible content" in " ".join(row["lines"]) for row in records)


def test_a_page_may_have_a_switch(capsys) -> None:
    assert (
        main(["check", "demo:photos_per_class=6,size=32", "--output", "r", "--lang", "both"]) == 0
    )
    assert "Nothing was found that makes results untrustworthy." in capsys.readouterr().out
    page = Path("r/check.html").read_text("utf-8")
    assert 'id="switch"' in page
    for told in ("これらの画像での結果の", "Nothing was found that makes results on these photos"):
        assert told in page


@pytest.mark.parametrize(
    "words",
    [["check", "nowhere"], ["preview", "nowhere"], ["explain", "nowhere"],
     ["evaluate", "nowhere", "--data", "nowhere"]],
    ids=lambda words: words[0],
)  # fmt: skip
def test_an_unknown_language_is_refused_before_anything_is_opened(words, capsys) -> None:
    told = complaint([*words, "--lang", "fr"], capsys)
    assert "--lang must be one of both, en, ja, got 'fr'; leave it out for English" in told


PAGES = [
    *(f"pages/{name}.py" for name in ("health", "panels", "charts", "parts", "mixes")),
    "preview/page.py", "preview/mixes.py", "preview/verdicts.py", "explain/page.py",
    "explain/figures.py", "evaluation/figure.py",
]  # fmt: skip


OF_PROGRAMS = {
    "{% from 'parts.html' import body with context %}{{ body(section) }}",
    "principal components of the photos' embeddings of unit norm",  # in explain.json
}


@pytest.mark.parametrize("name", PAGES)
def test_no_sentence_of_a_page_stands_in_python(name: str) -> None:
    for text in texts(ast.parse((SOURCE / name).read_text())):
        assert not JAPANESE.search(text), text
        assert not SENTENCE.search(text) or text in OF_PROGRAMS, text
