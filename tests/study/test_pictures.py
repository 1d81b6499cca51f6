"""The pictures of a PoC: from finished runs, and a reason where there is none."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from samix.errors import InputError, UnreadableImageError
from samix.study.report.pictures import PictureOptions, draw_pictures, find_runs, read_pictures
from samix.training import PretrainConfig, TrainConfig, pretrain, train

TINY = {
    "data": "demo:photos_per_class=12,size=16", "image_size": 16, "backbone": "resnet18",
    "model_kwargs": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}, "stem": "small",
    "batch_size": 24, "epochs": 1, "device": "cpu",
}  # fmt: skip
FEW = PictureOptions(pairs=2, photos=3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PoC with three finished policies; the folder is not to be changed."""
    torch.set_num_threads(1)
    poc = tmp_path_factory.mktemp("poc")
    for policy, guard in (("none", None), ("cutmix", {"share": 0.9}), ("samix", None)):
        output = poc / "cells" / "supervised" / f"{policy}-30-s0"
        train(TrainConfig(**TINY, policy=policy, guard=guard, output=str(output)))
    return poc


@pytest.fixture
def poc(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "poc"))


def both(value: dict[str, str]) -> None:
    assert set(value) == {"en", "ja"}
    assert all(value.values())


def test_mixes_and_where_the_models_look(poc: Path) -> None:
    rows = draw_pictures(poc, policy="cutmix", options=FEW)
    assert rows == read_pictures(poc)
    assert [(r["part"], r.get("policy")) for r in rows] == [
        *[("mixes", "cutmix")] * 2, *[("mixes", "samix")] * 2, *[("where", None)] * 3,
    ]  # fmt: skip
    for row in rows:
        image = Image.open(row["path"])
        columns = 4  # original, partner, mask and mix; photo and three networks
        assert image.size == (columns * (192 + 8), 192)
        assert len(row["columns"]) == columns
        for words in (row["title"], row["caption"], *row["columns"], *row["lines"]):
            both(words)
        assert any("\u3040" <= letter <= "\u9fff" for letter in row["caption"]["ja"])
    assert {p.name for p in (poc / "pictures").iterdir()} == {
        *(Path(r["path"]).name for r in rows), "pictures.json",
    }  # fmt: skip


def test_the_guard_of_the_run_is_asked(poc: Path) -> None:
    rows = draw_pictures(poc, policy="cutmix", options=PictureOptions(pairs=6, photos=1))
    cutmix = [row for row in rows if row.get("policy") == "cutmix"]
    samix = [row for row in rows if row.get("policy") == "samix"]
    for row in (*cutmix, *samix):
        broken = any("broken" in line["en"] for line in row["lines"])
        assert row["state"] == ("changed" if broken else "ok")
        assert row["badge"]["en"] == ("guard: would repair it" if broken else "guard: accepted")
    assert any("at least 0.90 is needed" in line["en"] for line in cutmix[0]["lines"])
    assert any("at least 0.50 is needed" in line["en"] for line in samix[0]["lines"])
    assert "The guard was off" not in cutmix[0]["caption"]["en"]
    assert "The guard was off" in samix[0]["caption"]["en"]


def test_all_networks_see_the_same_photos_and_a_draw_repeats(poc: Path) -> None:
    first = draw_pictures(poc, policy="samix", options=FEW)
    pixels = {row["path"]: Path(row["path"]).read_bytes() for row in first if "path" in row}
    assert draw_pictures(poc, policy="samix", options=FEW) == first
    assert {name: Path(name).read_bytes() for name in pixels} == pixels
    where = [row for row in first if row["part"] == "where"]
    assert len({row["title"]["en"].split(". ")[1] for row in where}) == len(where) == 3
    told = [[one["en"].partition(":")[0] for one in row["columns"]] for row in where]
    assert told == [["photo", "plain training", "samix"]] * 3


def test_a_policy_without_a_finished_run_is_named(poc: Path) -> None:
    (poc / "cells/supervised/samix-30-s0/model.json").unlink()
    rows = draw_pictures(poc, policy="cutmix", options=FEW)
    bare = [(r["part"], r["caption"]["en"]) for r in rows if "path" not in r]
    why = "There is no picture of samix: none of its trainings has finished."
    assert bare == [("mixes", why), ("where", why)]
    assert len([row for row in rows if "path" in row]) == 2 + 3


def test_nothing_finished(tmp_path: Path) -> None:
    rows = draw_pictures(tmp_path, policy="samix")
    assert [r["part"] for r in rows] == ["mixes", "where", "where"]
    assert all("path" not in row for row in rows)


def test_the_run_with_most_labels_and_lowest_seed(tmp_path: Path) -> None:
    for name in ("samix-50-s0", "samix-200-s2", "samix-200-s1", "samix-400-s0", "samix-p-900-s0"):
        (tmp_path / "cells" / "supervised" / name).mkdir(parents=True)
        if name != "samix-400-s0":
            (tmp_path / "cells" / "supervised" / name / "model.json").touch()
    found = find_runs(tmp_path, ("none", "samix", "samix-p"))
    assert [path.name for path in found.values()] == ["samix-200-s1", "samix-p-900-s0"]
    assert list(found) == ["samix", "samix-p"]


def test_pre_trainings_are_shown_where_nothing_was_trained_with_labels(tmp_path: Path) -> None:
    own = {"method_options": {"queue_size": 24}, "policy": "cutmix"}
    run = tmp_path / "cells" / "self-supervised" / "cutmix-s3"
    pretrain(PretrainConfig(**{**TINY, **own, "output": str(run)}))
    (run.parent / "cutmix-30-s3").mkdir()  # a cell that was probed, without a network of its own
    rows = draw_pictures(tmp_path, policy="cutmix", options=FEW)
    shown = [row for row in rows if "path" in row]
    assert [row["part"] for row in shown] == ["mixes"] * 2 + ["where"] * 3
    assert "no label was learned from" in shown[0]["caption"]["en"]
    assert shown[2]["columns"][1]["en"].startswith("cutmix")
    assert "taken for" not in shown[2]["columns"][1]["en"]
    assert "(self-supervised/cutmix-s3)" in shown[2]["caption"]["en"]


def test_without_captum_a_row_says_so(poc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith(("captum", "samix.explain", "samix.study.report.picture_rows")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    rows = draw_pictures(poc, policy="cutmix")
    assert [row["part"] for row in rows] == ["mixes", "where"]
    assert all("samix[poc]" in row["caption"]["ja"] for row in rows)


def test_a_mask_that_does_not_fit_leaves_the_pictures_out_and_says_so(
    poc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise UnreadableImageError("the mask of '1.png' has 9 x 8 px, its photo 8 x 9")

    monkeypatch.setattr("samix.explain.subject.defect_at", refuse)
    rows = draw_pictures(poc, policy="cutmix", options=FEW)
    assert [row["part"] for row in rows] == ["mixes", "where"]
    assert all("the mask of '1.png' has" in row["caption"]["ja"] for row in rows)


def test_a_record_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pictures.json' cannot be read \(FileNotFoundError"):
        read_pictures(tmp_path)
    (tmp_path / "pictures").mkdir()
    record = tmp_path / "pictures" / "pictures.json"
    record.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        read_pictures(tmp_path)
    record.write_text(json.dumps({"version": 2, "pictures": []}))
    with pytest.raises(InputError, match="has version 2, expected 1"):
        read_pictures(tmp_path)


@pytest.mark.parametrize("options", [{"pairs": 0}, {"photos": 0}, {"seed": -1}])
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected at least"):
        PictureOptions(**options)
