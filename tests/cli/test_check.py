from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samix.cli import main
from samix.data import health, open_images
from samix.data.health import parts_needed, recall_precision
from samix.training import PretrainConfig, TrainConfig
from samix.training.config import RunConfig
from samix.training.prepare import split
from tests.data.test_duplicates import dimmed, scene

from .test_train import complaint


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMIX_CACHE", str(tmp_path / "cache"))


def photos(folders: dict[str, list[int]], root: str = "photos") -> Path:
    """Write a photo of each number into each folder; a negative one is a dimmed copy."""
    for folder, numbers in folders.items():
        Path(root, folder).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            photo = scene(abs(number))
            photo = dimmed(photo) if number < 0 else photo
            photo.save(Path(root, folder, f"part{abs(number)}_{int(number < 0)}.png"))
    return Path(root)


def checked(words: list[str], code: int, capsys) -> tuple[str, dict]:
    assert main(["check", *words, "--output", "report"]) == code
    out = capsys.readouterr().out
    return " ".join(out.split()), json.loads(Path("report/check.json").read_text())


def test_nothing_is_wrong(capsys):
    photos({"good": [1, 2, 3, -1], "crack": [4, 5, 6]})
    said, record = checked(["photos"], 0, capsys)
    assert "Nothing was found that makes results untrustworthy." in said
    assert "1 group of duplicates holds 2 photos" in said
    assert "random split, 19% of the test photos would show a part that is also in" in said
    assert record["known_at_random"] == pytest.approx(2 / 7 * 0.65)
    assert record["problems"] == []
    assert record["photos"] == 7
    assert record["independent_parts"] == 6
    assert record["near_duplicates"]["groups"] == [["good/part1_0.png", "good/part1_1.png"]]
    good = next(entry for entry in record["classes"] if entry["name"] == "good")
    assert (good["photos"], good["parts"], good["test_parts"]) == (4, 3, 1)
    assert record["leakage"] is None
    assert record["command"]
    page = Path("report/check.html").read_text()
    assert "The largest groups of duplicates" in page
    assert "http" not in page.replace("http-equiv", "")
    assert sorted(path.name for path in Path("report").iterdir()) == ["check.html", "check.json"]


def test_labels_that_disagree(capsys):
    photos({"good": [1, 2, 3], "crack": [-1, 4, 5]})
    said, record = checked(["photos"], 1, capsys)
    assert "1 group of duplicates has labels that disagree" in said
    assert record["disagreeing_labels"] == [["crack/part1_1.png", "good/part1_0.png"]]
    assert "Labels that disagree" in Path("report/check.html").read_text()


def test_leakage_between_given_parts(capsys):
    photos(
        {"train/good": [1, 2], "train/crack": [3, 4], "test/good": [-1, 5], "test/crack": [3, 6]}
    )
    said, record = checked(["photos"], 1, capsys)
    assert "2 of 4 test photos (50.0%) have a near-duplicate in train" in said
    assert record["leakage"]["affected"] == {"test": 2}
    assert len(record["equal"]) == 1
    counts = {entry["name"]: entry["test_parts"] for entry in record["classes"]}
    assert counts == {"good": 1, "crack": 1}  # those that are in no other part


def test_corrupt_photos_are_named_with_their_reason(capsys):
    root = photos({"good": [1, 2], "crack": [3]})
    (root / "good" / "broken.png").write_bytes(b"no picture")
    said, record = checked(["photos"], 1, capsys)
    assert "1 photo cannot be read" in said
    assert "good/broken.png" in said
    assert record["corrupt"][0]["photo"] == "good/broken.png"
    assert "cannot be read" in record["corrupt"][0]["reason"]


def test_a_group_that_is_too_large_is_shown_and_not_used(capsys):
    rng = np.random.default_rng(0)
    root = photos({"good": [1, 2, 3], "crack": [4, 5]})
    base = np.asarray(scene(9), dtype=np.float64)
    for i in range(14):
        noisy = (base + rng.normal(0, 3, base.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(root / "good" / f"plate{i}.png")
    said, record = checked(["photos"], 1, capsys)
    assert "WRONG: 1 group of photos that look alike (14 photos) has more than 10" in said
    assert "NOT kept together" in said
    assert len(record["near_duplicates"]["too_large"][0]) == 14
    assert record["independent_parts"] == 19


def test_photos_without_labels(capsys):
    photos({"": [1, 2, -1]})
    said, record = checked(["photos"], 0, capsys)
    assert "3 photos, 2 independent parts" in said
    assert record["classes"][0]["name"] == ""
    assert "No classes were found, so labels were not checked." in said


def test_classes_that_file_or_size_tell_apart(capsys):
    photos({"good": range(1, 13), "crack": range(20, 32)})
    for path in list(Path("photos/crack").iterdir()):
        Image.open(path).resize((40, 40)).save(path.with_suffix(".bmp"))
        path.unlink()
    said, _ = checked(["photos"], 0, capsys)
    assert "by the kind of their files alone: crack (.bmp), good (.png)" in said
    assert "by the size of their photos alone: crack (40 x 40 px), good (" in said
    shutil.rmtree("report")
    for path in list(Path("photos/good").iterdir()):
        Image.open(path).resize((40, 40)).save(path.with_suffix(".bmp"))
        path.unlink()
    assert "alone" not in checked(["photos"], 0, capsys)[0]


def test_a_single_class_is_checked_too(capsys):
    photos({"good": [1, 2]})
    checked(["photos"], 0, capsys)


@pytest.mark.parametrize(
    ("folders", "refused"),
    [
        ({"good": [1, 2, 3], "crack": [4, 5, -5], "dent": [6]}, "crack, dent"),
        ({"train/a": [1, 2], "train/b": [3], "val/a": [4], "test/a": [5], "test/b": [6]}, "b"),
    ],
)
def test_a_class_that_train_refuses_is_a_problem(folders, refused, capsys):
    photos(folders)
    said, _ = checked(["photos"], 1, capsys)
    assert f"samix train refuses {refused}: each class needs" in said
    told = complaint(["train", "photos"], capsys)
    assert f"class '{refused.split(', ')[-1]}'" in told


def test_groups_by_name_come_first_and_are_compared(capsys):
    photos({"good": [1, 2, -2], "crack": [3, 4, -4]})
    table = "path,group\n" + "".join(
        f"{path.relative_to('photos').as_posix()},{path.stem if '4_' in path.stem else 'p'}\n"
        for path in sorted(Path("photos").rglob("*.png"))
    )
    Path("parts.csv").write_text(table)
    said, record = checked(["photos", "--group-by", "parts.csv"], 1, capsys)
    assert "by --group-by" in said
    assert record["parts_by"] == "group_by"
    assert record["divided_by_grouping"] == [["crack/part4_0.png", "crack/part4_1.png"]]


def test_groups_by_name_in_several_given_parts(capsys):
    photos({"train/a": [1, 2], "train/b": [3], "test/a": [11], "test/b": [4]})
    said, record = checked(["photos", "--group-by", r"part(\d)"], 1, capsys)
    assert "1 group of --group-by lies in several given parts, such as '1'" in said
    assert record["leakage"]["shared_groups"] == ["1"]


def test_the_second_check_is_from_the_cache(capsys, monkeypatch):
    photos({"good": [1, 2, 3, -1], "crack": [4, 5, 6]})
    _, first = checked(["photos"], 0, capsys)
    monkeypatch.setattr("samix.data.duplicates.search.take_fingerprints", None)
    assert main(["check", "photos", "--output", "again"]) == 0
    assert json.loads(Path("again/check.json").read_text())["classes"] == first["classes"]


def test_the_demo_says_itself_which_photos_show_one_part(capsys):
    said, record = checked(["demo:photos_per_class=6,size=32"], 0, capsys)
    assert "18 independent parts by the data" in said
    assert record["divided_by_grouping"] == []


def test_a_folder_is_named_where_none_is_given(capsys):
    photos({"good": [1, 2], "crack": [3]})
    assert main(["check", "photos"]) == 1
    assert main(["check", "photos"]) == 1
    assert Path("runs/check-photos/check.html").is_file()
    assert Path("runs/check-photos-2/check.html").is_file()


def test_bad_input_is_refused_in_one_sentence(capsys):
    photos({"good": [1, 2], "crack": [3, -3]})
    Path("empty").mkdir()
    Path("full").mkdir()
    Path("full", "file").write_text("")
    Path("file").write_text("")
    for words, named in (
        (["nowhere"], "'nowhere'"),
        (["empty"], "'empty'"),
        (["photos", "--group-by", "zzz"], "does not match photo"),
        (["photos", "--group-by", ".*"], "each photo its own group"),
        (["photos", "--group-by", "(png)"], "all 4 photos into one group"),
        (["photos", "--group-by", "("], "not a regular expression"),
        (["photos", "--group-by", "gone.csv"], "'gone.csv'"),
        (["photos", "--output", "full"], "--output 'full'"),
        (["photos", "--output", "file/report"], "file/report"),
        (["photos", "--grup-by", "x"], "--group-by"),
        ([], "data"),
    ):
        assert named.lower() in complaint(["check", *words], capsys).lower()
    for path in Path("photos").rglob("*.png"):
        path.write_bytes(b"")
    assert "none of the 4 photos" in complaint(["check", "photos"], capsys)
    assert not Path("runs").exists()


def test_an_interrupted_page_leaves_nothing_behind(monkeypatch, capsys):
    photos({"good": [1, 2], "crack": [3]})

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("samix.pages.parts.write_page", stop)
    assert main(["check", "photos", "--output", "report"]) == 130
    assert not Path("report").exists()


def test_precision_of_a_recall():
    assert recall_precision(0) == 0.5
    assert recall_precision(100) == pytest.approx(0.0596, abs=1e-3)  # Wilson's tables
    assert recall_precision(10) > recall_precision(20)
    for share in (0.1, 0.05):
        needed = parts_needed(share)
        assert recall_precision(needed) <= share < recall_precision(needed - 1)
    assert health.TOO_FEW == 10


def test_a_run_keeps_near_duplicates_on_one_side(capsys):
    numbers = range(1, 13)
    photos(
        {
            "good": [n * sign for n in numbers for sign in (1, -1)],
            "crack": [n * sign + 100 * sign for n in numbers for sign in (1, -1)],
        }
    )
    images = open_images("photos")

    def sides(config: RunConfig) -> tuple[list[set[str]], tuple[str, ...]]:
        splits, notes = split(images, config)
        found: dict[str, set[str]] = {}
        for side in ("train", "val", "test"):
            for i in getattr(splits, side):
                found.setdefault(images.keys[i].rpartition("_")[0], set()).add(side)
        return list(found.values()), notes

    for kind in (TrainConfig, PretrainConfig):
        found, notes = sides(kind(data="photos"))
        assert all(len(parts) == 1 for parts in found)
        assert "24 groups of near-duplicates (48 of 48 photos) are kept on one side" in notes[0]
        found, notes = sides(kind(data="photos", duplicates="ignore"))
        assert any(len(parts) > 1 for parts in found)
        assert notes == ()
        found, notes = sides(kind(data="photos", group_by=r"(part\d+)"))
        assert all(len(parts) == 1 for parts in found)
        assert notes == ()
    assert "--duplicates" in complaint(["train", "photos", "--duplicates", "no"], capsys)
    assert TrainConfig(data="photos").to_dict()["duplicates"] == "group"


def test_a_class_with_too_few_parts_is_named_with_the_way_out(capsys):
    photos({"good": [1, 2, 3, 4, 5, 6], "crack": [7, -7, 8, -8]})
    said = complaint(["train", "photos", "--image-size", "16", "--policy", "none"], capsys)
    assert "'crack'" in said
    assert "4 photos of 2 groups" in said
    assert "--duplicates ignore" in said
