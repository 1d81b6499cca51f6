from __future__ import annotations

import io
import json
import math
from dataclasses import replace

import torch
from PIL import Image

from samix.explain.figures import (
    confusion_section,
    follow_sentence,
    map_section,
    mixer_section,
    worst_pair,
)
from samix.explain.page import (
    confidence_section,
    explanation_record,
    near_section,
    where_mixes_section,
    where_section,
    write_explanation,
)
from samix.explain.results import (
    Confidence,
    Confusion,
    Explanation,
    HeatInside,
    Judged,
    MapStudy,
    Mix,
    MixerStudy,
    NearMix,
    NearStudy,
    Neighbour,
    Route,
    SeenMix,
    SeenPhoto,
    Spread,
    Sweep,
)
from samix.pages.pictures import heated, thumb
from samix.pages.words import both
from tests.pages.test_languages import english, shown

CLASSES = ("good", "$crack$", "a class with a very long name")
LAM = (0.1, 0.5, 0.9)


def photo():
    return torch.rand(3, 16, 16)


def heat():
    return torch.rand(1, 16, 16)


def mix(names=("good", "$crack$")):
    return Mix(
        photo(), photo(), heat(), photo(), names, ("x/1.png", "y/2.png"), 0.5, 0.48, 0.5, 0.5
    )


def explanation(**changes) -> Explanation:
    box = torch.zeros(1, 16, 16)
    box[:, 4:8, 4:8] = 1
    judged = [
        Judged(mix(), (0.5, 0.3), CLASSES[2], 0.2),
        Judged(mix(), (0.1, 0.1), CLASSES[2], 0.8),
    ]
    points = {"samix": torch.rand(5, 2), "mixup": torch.rand(5, 2)}
    ratio = {"samix": 1.4, "mixup": 1.1}
    whole = Explanation(
        run="<run>",
        policy="samix",
        mixed_by="samix",
        classifies=True,
        part="test",
        looker="Grad-CAM",
        fields=(8, 8),
        asker="Grad-CAM",
        photos=(20, 20),
        accuracy=0.8,
        guess=0.4,
        seen=[
            SeenPhoto(photo(), heat(), "x/1.png", "good", "good", 0.9),
            SeenPhoto(photo(), 0 * heat(), "y/2.png", "$crack$", "good", 0.6, box, None),
            SeenPhoto(photo(), heat(), "y/3.png", "$crack$", "$crack$", 0.6, box, 0.25),
        ],
        inside=[
            HeatInside("$crack$", 2, 1, 0.25, 0.0625, 0.5),
            HeatInside("empty", 0, 3, 0.0, 0.0, 0.0),
        ],
        seen_mixes=[SeenMix(mix(), [heat(), 0 * heat()], (0.5, 0.3))],
        mixer=MixerStudy(
            LAM,
            [
                Sweep(
                    torch.rand(2, 3, 16, 16), ("good", "$crack$"), torch.rand(2, 1, 16, 16),
                    torch.rand(3, 1, 16, 16), LAM,
                )
            ],
            torch.rand(4, 3),
            {"original": [0.1, 0.3, 0.2], "partner": [-0.1, None, 0.0], "unrelated": [0.0] * 3},
            True,
            0.2,
        ),
        map=MapStudy(
            torch.rand(20, 2),
            torch.arange(20) % 3,
            CLASSES,
            (0.5, 0.2),
            [Route(("good", "$crack$"), points, ratio, ratio)],
            Spread(0.3, "class", 1.2, -2.0),
        ),
        near=NearStudy(
            [NearMix(mix(), [Neighbour(photo(), name, "z.png", 0.9) for name in CLASSES])],
            0.95, 0.9, 4,
        ),
        confidence=Confidence(
            judged[:1], judged[1:], torch.tensor([0.5, 0.5]), torch.tensor([0.6, 0.5]),
            torch.tensor([0.8, 0.2]),
        ),
        confusion=Confusion(
            CLASSES,
            torch.tensor([[0.9, 0.1, 0.0, 0.0], [0.2, 0.7, 0.0, 0.1], [0.0, 0.0, 1.0, 0.0]]),
            [9, 9, 2],
            [["", CLASSES[2], "$crack$"], [CLASSES[2], "good", "good"], ["$crack$", "good", ""]],
            torch.tensor([[math.nan, 0.6, 0.3], [0.2, 0.1, 0.2], [0.1, 0.1, math.nan]]),
            4,
            1,
        ),
        notes=[both("A note.")],
    )  # fmt: skip
    return replace(whole, **changes)


def text_of(folder) -> str:
    return (folder / "explain.html").read_text()


def test_the_page_shows_every_part(tmp_path):
    write_explanation(tmp_path, explanation(), facts=[("seed", "3")])
    assert [path.name for path in tmp_path.iterdir()] == ["explain.html"]
    text = text_of(tmp_path).replace("\u00a0", " ")
    for words in (
        "What &lt;run&gt; has learned", "right on 80 %", "A note.", "hint, not a proof",
        "no place speaks for it", "nothing speaks for $crack$", "How the Mixer mixes (samix)",
        "two photos of one class", "1 of 3 third class", "most confident", "least confident",
        "look like a class with a very long name (60 %)", "\u00d74.0", "1 others",
    ):  # fmt: skip
        assert words in text, words
    assert "http" not in text.replace("http-equiv", "")
    # the map, one way, area, correlation, shares, and both matrices
    assert text.count('<svg viewBox="0 0 420') == 7


def test_the_page_in_japanese_has_no_english_sentence(tmp_path):
    write_explanation(tmp_path, explanation(notes=[]), language="ja")
    assert english(shown(text_of(tmp_path))) == []
    assert "<run> が学習した内容" in shown(text_of(tmp_path))


def test_each_photo_is_a_dot_of_the_map_in_the_colour_of_its_class():
    chart = map_section(explanation()).parts[0]
    dots = [one for one in chart.panels[0].strokes if one.round]
    assert [one.path.count("M") for one in dots] == [7, 7, 6]
    assert [one.colour for one in dots] == [style.colour for _, style in chart.legend]


def test_numbers_are_plain_and_match(tmp_path):
    record = json.loads(json.dumps(explanation_record(explanation())))
    assert record["looks"]["heat_in_defects"][0]["share"] == 0.25
    assert record["looks"]["photos"][2]["heat_in_defect"] == 0.25
    assert record["mixer"]["correlation_with_heat"]["partner"] == [-0.1, None, 0.0]
    assert record["map"]["uniformity"] == -2.0
    assert record["near"]["mixes"][0]["neighbours"][1]["class"] == "$crack$"
    assert record["confidence"]["least"][0]["other_probability"] == 0.8
    assert record["confusion"]["third_class"][0][1] == CLASSES[2]


def test_a_run_without_classes_says_what_is_left_out(tmp_path):
    seen = [SeenPhoto(photo(), heat(), "1.png", "")]
    whole = explanation(
        classifies=False, accuracy=None, guess=None, confidence=None, confusion=None, seen=seen,
        inside=[], seen_mixes=[SeenMix(mix(("", "")), [heat(), heat()], None)],
    )  # fmt: skip
    write_explanation(tmp_path, whole)
    text = text_of(tmp_path)
    for words in ("knows no classes", "so it cannot be sure of one", "nothing to take a photo for"):
        assert words in text
    assert explanation_record(whole)["confidence"] is None


def test_a_network_that_cannot_say_where_it_looks():
    whole = explanation(looker="", asker="", seen=[], inside=[], seen_mixes=[])
    for section in (where_section(whole), where_mixes_section(whole)):
        assert "no dependable way" in section.intro.en
        assert not section.parts


def test_a_run_without_a_mixer_or_training_photos_or_mixes():
    study = replace(explanation().mixer, looks=False, follows={})
    whole = explanation(mixer=study, near=None, confidence=None, mixed_by="cutmix")
    section = mixer_section(whole)
    assert "does not look at the photos" in section.intro.en
    assert len(section.parts[0].thumbs) == 2 + len(LAM)
    assert "training photos are not in the data" in near_section(whole).intro.en
    assert "None of the drawn mixes" in confidence_section(whole).intro.en


def test_two_classes_have_no_third_one():
    two = Confusion(
        ("a", "b"), torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]), [1, 1], [["", ""], ["", ""]],
        torch.full((2, 2), math.nan), 4, 0,
    )  # fmt: skip
    (chart,) = confusion_section(explanation(confusion=two)).parts
    assert "no third one" in chart.reading.en
    assert len(chart.panels) == 1
    assert worst_pair(two) == ""


def test_flat_masks_are_called_flat():
    study = explanation().mixer
    assert "flat" in follow_sentence(study).en  # nothing varies at lam 0.5 for the partner
    alive = replace(study, follows={**study.follows, "partner": [0.0, -0.2, 0.0]})
    assert "+0.30 for the original and -0.20 for the partner" in follow_sentence(alive).en
    assert "nearly flat" not in follow_sentence(alive).en
    assert "nearly flat" in follow_sentence(replace(alive, deviation=0.02)).en


def test_heat_leaves_cold_places_as_they_are():
    picture = torch.full((3, 200, 200), 0.5)
    hot = torch.zeros(1, 200, 200)
    hot[:, :100] = 1
    seen = heated(picture, hot)
    assert seen[:, 150, 150].tolist() == [0.5] * 3
    assert seen[0, 50, 50] > seen[2, 50, 50] + 0.5  # yellow


def test_thumbs_are_enlarged():
    assert Image.open(io.BytesIO(thumb(photo(), "a").png)).width >= 160
