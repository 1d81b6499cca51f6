"""A network is judged by what its run, and the runs before it, learned from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samix.data import ImageSet, Splits, open_images, write_splits
from samix.data.beginning import write_photos
from samix.evaluation.evaluate import divide
from samix.evaluation.seen import seen_by
from samix.plain_yaml import dump_yaml

TEST = (4, 5, 10, 11)  # of twelve photos in two classes
REST = tuple(i for i in range(12) if i not in (*TEST, 3, 9))
MakeRun = Callable[..., Path]


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    for number in range(12):
        folder = tmp_path / "photos" / "ab"[number // 6]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return open_images(tmp_path / "photos")


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Make the files of a run that say what it learned from."""

    def make(
        name: str, images: ImageSet, train: Sequence[int], *, contents: bool = True, **config: str
    ) -> Path:
        run = tmp_path / name
        run.mkdir()
        rest = tuple(i for i in range(len(images)) if i not in train)
        splits = Splits(tuple(train), rest[:1] + rest[3:4], rest[1:3] + rest[4:], (None,) * 12)
        write_splits(run / "splits.csv", images, splits)
        if contents:
            write_photos(run / "photos.csv", images, splits)
        config = {"data": str(tmp_path / "photos"), **config}
        (run / "config.yaml").write_text(dump_yaml({"config": config}))
        return run

    return make


@pytest.mark.parametrize("by", ["init", "mixer_from", "weights"])
def test_evaluate_says_what_a_run_before_the_run_learned_from(
    images: ImageSet, make_run: MakeRun, by: str
) -> None:
    before = make_run("before", images, range(12))
    (before / "model.safetensors").write_bytes(b"")
    named = before / "model.safetensors" if by == "weights" else before
    run = make_run("run", images, REST, **{by: str(named)})
    notes = divide(images, run / "splits.csv").notes
    assert notes == (
        f"Warning: 4 of 4 test photos were learned from in '{run}' or a run that it began from "
        f"(such as '{images.keys[4]}'): of them the test says more than is true.",
    )
    shutil.rmtree(before)
    if by != "weights":  # of a file that is gone it is not known that a run had written it
        assert divide(images, run / "splits.csv").notes == (
            f"Warning: '{before}', from which it began, is not there any more: what that learned "
            "from is not known.",
        )


def test_a_run_that_saw_no_test_photo_is_judged_without_a_word(
    images: ImageSet, make_run: MakeRun
) -> None:
    before = make_run("before", images, REST)
    run = make_run("run", images, REST, init=str(before))
    assert divide(images, run / "splits.csv").notes == ()
    seen = seen_by(run, images)
    assert (seen.photos, seen.runs) == (frozenset(REST), 2)
    assert seen.sentence(TEST) == (
        f"No test photo was learned from in '{run}' or a run that it began from."
    )
    assert seen_by(run, images, itself=False).photos == frozenset(REST)


@pytest.mark.parametrize("contents", [True, False])
def test_copies_under_other_paths_are_known_by_their_content(
    images: ImageSet, make_run: MakeRun, tmp_path: Path, contents: bool
) -> None:
    run = make_run("run", images, range(12), contents=contents)
    for i, key in enumerate(images.keys):
        copy = tmp_path / "copies" / key[0] / f"copy{i:02d}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tmp_path / "photos" / key, copy)
    copies = open_images(tmp_path / "copies")
    seen = seen_by(run, copies, [str(tmp_path / "copies")])
    assert len(seen.photos) == (12 if contents else 0)
    assert ("would not be noticed" in seen.sentence(TEST)) == (not contents)
