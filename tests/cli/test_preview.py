from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samix.cli import create_parser, main
from samix.mixing import draw_index, step_generator
from samix.preview.photos import choose
from samix.preview.policies import open_policies

from .test_pretrain import TINY, somewhere_else
from .test_train import complaint, photos

__all__ = ["somewhere_else"]  # a fixture
DEMO = "demo:photos_per_class=6,size=16"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of samix mixer train with its Mixer, and a run of mixup; they are not to be changed."""
    folder = tmp_path_factory.mktemp("preview")
    assert main(["mixer", "train", DEMO, *TINY, "--output", str(folder / "run")]) == 0
    words = ["pretrain", DEMO, *TINY, "--policy", "mixup", "--output", str(folder / "plain")]
    assert main(words) == 0
    return folder / "run"


def look(*words: str) -> dict:
    """Run a preview into the folder "out" and return its numbers."""
    assert main(["preview", *words, "--output", "out"]) == 0
    return json.loads(Path("out/preview.json").read_text())


def test_a_preview_of_the_demo(capsys):
    found = look(DEMO, "--pairs", "6")
    out = capsys.readouterr().out
    assert {path.name for path in Path("out").iterdir()} == {
        "preview.html", "preview.json",
    }  # fmt: skip
    assert list(found["policies"]) == ["mixup", "cutmix", "samix-p"]
    for policy in found["policies"].values():
        assert len(policy["rows"]) == 6
        for row in policy["rows"]:
            assert sum(row["label"].values()) == pytest.approx(1.0)
            assert row["original"]["class"] != row["partner"]["class"]
    text = Path("out/preview.html").read_text()
    for word in ("samix-p", "of its defect is visible, label says", "label noise", "area off lam"):
        assert word in text.replace("\u00a0", " ")
    for word in ("with the same lam", "out/preview.html", "label noise", "6 pairs"):
        assert word in out
    assert (found["image_size"], found["seed"]) == (16, 0)
    assert found["command"]


def test_the_same_pairs_and_the_same_lam_for_every_policy():
    names = "none,mixup,cutmix,mixup-cutmix,resizemix,samix-p"
    found = look(DEMO, "--policy", names, "--alpha", "0.8", "--pairs", "4")["policies"]
    assert list(found) == names.split(",")
    pairs = [[(r["original"], r["partner"]) for r in p["rows"]] for p in found.values()]
    assert all(pair == pairs[0] for pair in pairs)
    lam = {name: [row["lam"] for row in policy["rows"]] for name, policy in found.items()}
    assert lam["mixup"] == lam["cutmix"] == lam["samix-p"]
    assert set(lam["none"]) == {1.0}
    assert any(a == b for a, b in zip(lam["mixup-cutmix"], lam["cutmix"], strict=True))
    boxes = found["cutmix"]["rows"]
    assert all(row["weight"] == pytest.approx(row["area"]) for row in boxes)
    assert found["cutmix"]["lam_from"] == "Beta(0.8,\u00a00.8)"
    assert [row["label"] for row in found["none"]["rows"]] == [
        {row["original"]["class"]: 1.0} for row in found["none"]["rows"]
    ]


def test_a_preview_repeats_itself_and_follows_the_seed():
    words = [DEMO, "--policy", "cutmix", "--pairs", "3"]
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert main(["preview", *words, "--seed", seed, "--output", name]) == 0
    first, again, other = (
        json.loads(Path(name, "preview.json").read_text())["policies"] for name in "abc"
    )
    assert first == again != other
    first, again = (Path(name, "preview.html").read_bytes() for name in "ab")
    assert first == again


def test_a_run_and_a_pretrained_mixer_are_policies(run, capsys):
    mixer = str(run / "mixer")
    found = look(DEMO, "--policy", f"{run},{mixer}", "--policy", "samix-p", "--pairs", "2")
    assert list(found["policies"]) == [str(run), mixer, "samix-p"]
    own, exported = found["policies"][str(run)], found["policies"][mixer]
    assert own["rows"] == exported["rows"]
    assert own["label_uses"] == "lam"
    assert "momentum average" in own["about"]


def test_rivals_are_what_they_are_made_of():
    found = look(DEMO, "--policy", "un-mix,i-mix", "--pairs", "2")["policies"]
    assert "its mixup-cutmix" in found["un-mix"]["about"]
    assert found["i-mix"]["lam_from"] == "Beta(1,\u00a01)"


def test_options_go_to_the_policies_that_have_them():
    words = ["--policy", "mixup,resizemix,cutmix", "--policy-options", "scale=[0.5,0.5]"]
    found = look(DEMO, *words, "cutmix.alpha=0.3", "--alpha", "2", "--pairs", "2")["policies"]
    assert found["mixup"]["lam_from"] == "Beta(2,\u00a02)"
    assert found["cutmix"]["lam_from"] == "Beta(0.3,\u00a00.3)"
    assert {row["area"] for row in found["resizemix"]["rows"]} == {0.75}


def test_unmixed_photos_keep_their_label():
    found = look(DEMO, "--policy", "cutmix", "--p", "0", "--pairs", "2")["policies"]["cutmix"]
    assert all(row["label"] == {row["original"]["class"]: 1.0} for row in found["rows"])
    assert found["rows_with_label_noise"] == 0


def test_flat_folders_have_no_class_names():
    photos("flat", classes=("",), count=3)
    rows = look("flat", "--policy", "mixup")["policies"]["mixup"]["rows"]
    assert len(rows) == 3  # there are no more photos
    assert set(rows[0]["label"]) == {"original", "partner"}
    assert rows[0]["original"]["class"] is None
    assert "label noise" not in Path("out/preview.html").read_text()


def test_grey_and_very_large_photos_and_a_class_with_one_photo():
    for name, mode, size in (("good", "L", 40), ("good", "I;16", 30), ("crack", "RGB", 3000)):
        Path("photos", name).mkdir(parents=True, exist_ok=True)
        Image.new(mode, (size, size // 2), 90).save(f"photos/{name}/{size}.png")
    found = look("photos", "--policy", "cutmix", "--pairs", "1")
    assert found["image_size"] == 224
    assert len(found["policies"]["cutmix"]["rows"]) == 1


def test_only_the_classes_that_were_asked_for():
    words = ["--policy", "mixup", "--classes", "crack,good", "--classes", "dent"]
    rows = look(DEMO, *words, "--pairs", "6")["policies"]["mixup"]["rows"]
    seen = {row[side]["class"] for row in rows for side in ("original", "partner")}
    assert seen == {"crack", "good", "dent"}
    assert all(row["original"]["class"] != row["partner"]["class"] for row in rows)


def test_only_train_photos_where_the_data_has_splits():
    for split, value in (("train", 10), ("test", 200)):
        for name in ("good", "crack"):
            folder = Path("photos", split, name)
            folder.mkdir(parents=True)
            for i in range(4):
                pixels = np.full((16, 16, 3), value + i + 5 * (name == "good"), np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    found = look("photos", "--policy", "mixup", "--pairs", "8")
    rows = found["policies"]["mixup"]["rows"]
    assert len(rows) == 8
    assert all(row["original"]["photo"].startswith("train/") for row in rows)
    assert "train photos" in found["photos"]


@pytest.fixture
def marked() -> Path:
    """Good parts, and cracks whose defect is the left eighth; one has no mask, one an empty one."""
    root = photos("marked/images", count=3).parent
    for i, left in ((0, 2), (1, 0)):
        mask = np.zeros((16, 16), np.uint8)
        mask[:, :left] = 255
        Path(root, "masks", "crack").mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(root / "masks" / "crack" / f"part0_{i}.png")
    return root


def test_how_much_of_each_defect_is_visible(marked):
    found = look(str(marked), "--policy", "cutmix,mixup", "--pairs", "6")["policies"]
    for name, policy in found.items():
        for row in policy["rows"]:
            said = " ".join(row["lines"])
            cracks = [row[side]["photo"] for side in ("original", "partner")]
            for photo, words in (("part0_0", "is visible"), ("part0_1", "empty")):
                here = any(f"crack/{photo}" in key for key in cracks)
                clean = row["label"].get("crack", 0.0) == 0.0
                assert (words in said) is (here and not clean), (row, photo)
            for seen, says in re.findall(r"([\d.]+) % of its .* says ([\d.]+) %", said):
                assert name == "cutmix" or seen == says
        assert policy["rows_with_defects"] <= 2
    noisy = [row for row in found["cutmix"]["rows"] if row["badge"]]
    assert len(noisy) == found["cutmix"]["rows_with_label_noise"]


def test_outlines_can_be_left_out(marked, capsys):
    look(str(marked), "--no-show-masks", "--policy", "mixup")
    text = Path("out/preview.html").read_text()
    assert "orange" not in text
    assert "of its defect is visible" in text.replace("\u00a0", " ")
    photos("photos")
    assert "has no masks" in complaint(["preview", "photos", "--show-masks"], capsys)


def test_a_mask_that_does_not_fit(marked, capsys):
    for path in (marked / "masks").rglob("*.png"):
        Image.new("L", (8, 16)).save(path)
    said = complaint(["preview", str(marked), "--policy", "mixup"], capsys)
    assert "has 8 x 16 px, its photo 16 x 16" in said
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


@pytest.mark.parametrize("batch", [2, 3, 5, 8, 13])
@pytest.mark.parametrize("counts", [(20, 20), (5, 5, 5), (1, 2, 30), (40,), (3, 1, 1, 1, 9)])
def test_partners_are_of_different_classes_wherever_that_can_be(batch, counts):
    targets = [target for target, count in enumerate(counts) for _ in range(count)]
    batch = min(batch, len(targets))
    index = draw_index(batch, generator=step_generator(0, 0)).tolist()
    chosen = choose(targets, range(len(targets)), index, seed=1)
    assert len(set(chosen)) == batch
    classes = [targets[photo] for photo in chosen]
    alike = sum(classes[i] == classes[index[i]] for i in range(batch))
    most = max(classes.count(target) for target in set(classes))
    assert alike == max(0, 2 * most - batch)


BAD_OPTIONS = [
    (["--policy", "cutmics"], ["'cutmics'", "nearest is 'cutmix'"]),
    (["--policy", "samix"], ["no trained Mixer", "samix-p", "folder of a run"]),
    (["--policy", "mochi"], ["mochi", "features"]),
    (["--policy", ","], ["--policy", "mixup"]),
    (["--policy", "photos"], ["'photos'", "neither", "run"]),
    (["--policy", "runs/nothing"], ["'runs/nothing'", "neither"]),
    (["--policy", "mixup", "--policy-options", "scale=[0.1,0.2]"], ["scale", "mixup", "alpha"]),
    (["--policy-options", "scael=1", "--policy", "resizemix"], ["scael", "'scale'"]),
    (["--policy-options", "resizemix.scale=[0.1,0.2]"], ["'resizemix'", "mixup,cutmix,samix-p"]),
    (["--policy-options", "mixup.scale=1"], ["scale", "mixup"]),
    (["--policy-options", "scale"], ["KEY=VALUE"]),
    (["--policy", "none", "--alpha", "1"], ["alpha", "none"]),
    (["--policy-options", "mixer=naturl"], ["nearest is 'natural'"]),
    (["--alpha", "0"], ["alpha", "0"]),
    (["--p", "1.5"], ["p:", "1.5"]),
    (["--pairs", "0"], ["--pairs", "0"]),
    (["--pairs", "65"], ["--pairs", "64"]),
    (["--seed", "-1"], ["--seed", "-1"]),
    (["--image-size", "4"], ["4"]),
    (["--image-size", "5000"], ["5000", "1024"]),
    (["--classes", "crakc"], ["'crakc'", "'crack'"]),
    (["--output", "photos"], ["photos", "exists already"]),
    (["--output", "file/x"], ["cannot be written"]),
    (["--polcy", "mixup"], ["--policy"]),
]


@pytest.mark.parametrize(("words", "named"), BAD_OPTIONS, ids=lambda v: " ".join(v)[:40])
def test_bad_options_are_refused_in_one_sentence(words, named, capsys):
    photos("photos", count=2)
    Path("file").write_text("")
    said = complaint(["preview", "photos", *words], capsys)
    for word in named:
        assert word in said
    assert {path.name for path in Path().iterdir()} <= {"photos", "file", "cache"}


def test_bad_data(run, capsys):
    assert "DATA is missing" in complaint(["preview"], capsys)
    assert "'nowhere'" in complaint(["preview", "nowhere"], capsys)
    Path("empty").mkdir()
    assert "holds no image" in complaint(["preview", "empty"], capsys)
    photos("one", classes=("good",), count=1)
    assert "1 photo to choose from; a pair needs two" in complaint(["preview", "one"], capsys)
    photos("two", count=1)
    said = complaint(["preview", "two", "--classes", "good"], capsys)
    assert "1 photo of good to choose from" in said
    photos("flat", classes=("",), count=2)
    assert "has no classes" in complaint(["preview", "flat", "--classes", "good"], capsys)
    Path("two/good/broken.png").write_bytes(b"no image")
    assert "--skip-corrupt" in complaint(["preview", "two"], capsys)
    assert main(["preview", "two", "--skip-corrupt", "--policy", "mixup", "--output", "out"]) == 0
    capsys.readouterr()
    plain = str(run.parent / "plain")
    said = complaint(["preview", DEMO, "--policy", plain], capsys)
    assert "has no Mixer: it mixed with 'mixup'" in said


def test_an_interrupted_preview_leaves_no_folder(monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("samix.preview.page.write_page", stop)  # the others are written by then
    assert main(["preview", DEMO, "--policy", "mixup", "--output", "out"]) == 130
    assert not Path("out").exists()


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["preview", "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    for word in ("samix preview demo", "RUN", "--show-masks", "--policy-options"):
        assert word in out
    parser = create_parser()._subparsers._group_actions[0].choices["preview"]
    assert all(action.help for action in parser._actions)


def test_a_guard_says_what_it_finds_and_what_it_repairs(capsys):
    words = [DEMO, "--policy", "none,mixup,cutmix", "--pairs", "5"]
    plain = look(*words)["policies"]
    Path("out").rename("plain")
    found = look(*words, "--guard")["policies"]
    assert "The guard repaired 0 of 5 with mixup" in capsys.readouterr().out
    assert found["none"] == plain["none"]
    repaired = 0
    for before, row in zip(plain["cutmix"]["rows"], found["cutmix"]["rows"], strict=True):
        assert row["label"] == before["label"]  # the row is what the policy made
        rule = next(line for line in row["lines"] if line.startswith("Guard, visible content"))
        after = row.get("after_guard")
        repaired += after is not None
        assert ("broken" in rule) is (after is not None) is ("repaired" in row["badge"])
        assert ("accepted" in row["badge"]) is (after is None)
        assert (before["badge"] == "label noise") is ("label noise" in row["badge"])
    assert 0 < repaired == found["cutmix"]["rows_repaired_by_guard"]
    text = Path("out/preview.html").read_text()
    assert text.count(">after the guard<") == repaired


def test_a_guard_takes_its_rules_from_a_file():
    Path("rules.yaml").write_text("visibility: false\npairs: [{never: [crack, good]}]\n")
    words = ["--policy", "mixup", "--classes", "crack,good", "--guard", "rules.yaml"]
    rows = look(DEMO, *words, "--pairs", "4")["policies"]["mixup"]["rows"]
    assert all("share allowed for the pair" in " ".join(row["lines"]) for row in rows)
    assert all(len(row["after_guard"]["label"]) == 1 for row in rows)


def test_a_guard_that_is_given_the_defects(marked):
    Path("rules.yaml").write_text("saliency: given\n")
    found = look(str(marked), "--policy", "cutmix", "--guard", "rules.yaml")["policies"]["cutmix"]
    assert all("visible content" in " ".join(row["lines"]) for row in found["rows"])


def test_a_guard_that_is_given_defects_where_no_photo_shown_has_one(marked, capsys):
    Path("rules.yaml").write_text("saliency: given\n")
    words = [str(marked), "--policy", "cutmix", "--guard", "rules.yaml", "--classes", "good"]
    said = complaint(["preview", *words], capsys)
    assert "none of the photos shown has" in said


BAD_RULES = [
    ("good: [godo]", ["'godo'", "'good'"]),
    ("shre: 0.4", ["'shre'", "'share'"]),
    ("share: 1.5", ["share", "1.5"]),
    ("visibility: false", ["at least one rule"]),
    ("plausibility: 0.3", ["plausibility", "network"]),
    ("saliency: attention", ["attention", "network"]),
    ("saliency: given", ["given", "masks"]),
    ("[1, 2]", ["names and values", "[1, 2]"]),
    ("a: [", ["no YAML file"]),
]


@pytest.mark.parametrize(("rules", "named"), BAD_RULES, ids=lambda v: str(v)[:30])
def test_bad_rules_are_refused_in_one_sentence(rules, named, capsys):
    photos("photos", count=2)
    Path("rules.yaml").write_text(rules)
    said = complaint(["preview", "photos", "--policy", "mixup", "--guard", "rules.yaml"], capsys)
    for word in ("--guard", *named):
        assert word in said
    assert not Path("runs").exists()


def test_a_file_of_rules_that_is_not_there(capsys):
    photos("photos", count=2)
    words = ["preview", "photos", "--policy", "mixup", "--guard", "nowhere.yaml"]
    assert "'nowhere.yaml' cannot be read" in complaint(words, capsys)
    assert "--guard took 'photos'" in complaint(["preview", "--guard", "photos"], capsys)


@pytest.mark.slow
def test_the_tiles_with_their_masks():
    root = os.environ.get("SAMIX_DATA")
    if not root or not Path(root, "magnetic-tile").exists():
        pytest.skip("SAMIX_DATA is not set, or has no 'magnetic-tile'")
    words = ["--policy", "cutmix", "--image-size", "64", "--classes", "crack,free"]
    found = look(str(Path(root, "magnetic-tile")), *words)["policies"]["cutmix"]
    assert found["rows_with_defects"] == len(found["rows"]) == 8
    assert all(len(row["lines"]) == ("crack" in row["label"]) for row in found["rows"])


def test_where_lam_comes_from_is_said_also_where_none_is_drawn():
    shown = open_policies(["fmix", "smoothmix", "guidedmixup"], {})
    told = [policy.draw.en for policy in shown]
    assert told == ["Beta(1,\u00a01)", "its own draw", "the photos"]
