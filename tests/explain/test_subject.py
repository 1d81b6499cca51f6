from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from samix.data import open_images, read_splits
from samix.data.beginning import write_photos
from samix.data.demo import DemoOptions, write_demo
from samix.errors import InputError
from samix.explain import ExplainOptions, RunPhotos, explain, open_network, open_photos
from samix.preview.photos import read_photos


def refused(path, **options) -> str:
    with pytest.raises(InputError) as caught:
        open_photos(*open_network(path), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_run_opens_with_its_classifier_and_its_mixer(runs, opened):
    subject, photos = opened("samix")
    weights = load_file(runs["samix"] / "model.safetensors")
    for name, value in subject.network.state_dict().items():
        assert value.equal(weights[name])
    mixer = load_file(runs["samix"] / "mixer.safetensors")
    for name, value in subject.policy.mixer.state_dict().items():
        assert value.equal(mixer[name])
    average = load_file(runs["samix"] / "model_average.safetensors")
    assert subject.average.conv1.weight.equal(average["conv1.weight"])
    assert subject.mixes_by_looking
    assert len(subject.classes) == 6
    embedding, probability = subject.ask(subject.look(photos.load(range(3))))
    assert probability.shape == (3, 6)
    with torch.no_grad():
        logits = subject.network(subject.look(photos.load(range(3))))
    torch.testing.assert_close(probability, logits.softmax(1))
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(3))


def test_parts_are_those_of_the_run(runs, opened):
    _, photos = opened("cutmix")
    with (runs["cutmix"] / "splits.csv").open() as file:
        side = {row["path"]: row["split"] for row in csv.DictReader(file)}
    for part in ("train", "val", "test"):
        assert photos.parts[part]
        assert all(side[photos.images.keys[i]] == part for i in photos.parts[part])


def test_a_run_without_classes_knows_none(opened):
    subject, photos = opened("moco")
    assert subject.classes == ()
    assert subject.ask(subject.look(photos.load([0])))[1] is None
    assert len(photos.classes) == 6  # the data has them, and the map is coloured by them


def test_what_is_no_run_is_refused(tmp_path, run_copy):
    assert "not a run folder" in refused(tmp_path)
    assert "not a run folder" in refused(tmp_path / "nowhere")
    run = run_copy()
    model = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps({**model, "backbone": "resnet81"}))
    assert "resnet81" in refused(run)
    (run / "model.json").write_text(json.dumps({**model, "model_kwargs": {}}))
    assert "is of another network" in refused(run)
    (run / "model.json").write_text('{"backbone": "resnet18"}')
    assert "cannot be read" in refused(run)
    (run / "model.json").unlink()
    assert "not finished" in refused(run)


def moved(run, data) -> None:
    """Let a run say that it learned from other data."""
    content = yaml.safe_load((run / "config.yaml").read_text())
    content["config"]["data"] = str(data)
    (run / "config.yaml").write_text(yaml.safe_dump(content))


def test_photos_that_moved_are_asked_for_and_found(run_copy, tmp_path):
    run = run_copy()
    moved(run, tmp_path / "old" / "photos")
    said = refused(run)
    assert "`data`" in said
    assert "old/photos" in said
    subject, source = open_network(run)
    photos = open_photos(subject, source, data="demo:photos_per_class=12,size=16")
    assert photos.parts["test"]


def test_other_photos_and_other_classes_are_refused(run_copy, tmp_path):
    write_demo(tmp_path / "demo", DemoOptions(photos_per_class=12, size=16))
    run = run_copy()
    assert "none of the photos" in refused(run, data=str(tmp_path / "demo"))
    for name in ("good", "zebra"):
        (tmp_path / "animals" / name).mkdir(parents=True)
        for i in range(2):
            pixels = np.random.default_rng(i).integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "animals" / name / f"{i}.png")
    assert "zebra" in refused(run, data=str(tmp_path / "animals"))


def test_corrupt_photos_are_refused_or_left_out(run_copy, tmp_path):
    write_demo(tmp_path / "demo", DemoOptions(photos_per_class=12, size=16))
    run, data = run_copy(), tmp_path / "demo"
    images = open_images(str(data))
    own = run / "splits.csv"
    sides = ["train", "val", "test"]
    rows = [f"{key},{sides[i % 3]}," for i, key in enumerate(images.keys)]
    own.write_text("path,split,group\n" + "\n".join(rows) + "\n")
    write_photos(run / "photos.csv", images, read_splits(own, images))
    subject, source = open_network(run)
    assert not open_photos(subject, source, data=str(data)).notes
    Image.new("RGB", (16, 16)).save(data / images.keys[3])
    notes = open_photos(subject, source, data=str(data)).notes
    assert f"1 of {len(images)} photos are others (such as '{images.keys[3]}')" in notes[0].en
    (data / images.keys[2]).write_bytes(b"no image")
    assert "corrupt" in refused(run, data=str(data))
    photos = open_photos(subject, source, data=str(data), skip_corrupt=True)
    assert len(photos.parts["test"]) == len(images) // 3 - 1
    assert "1 photos that cannot be read are left out." in [note.en for note in photos.notes]
    assert any("1 of the run's 72 photos" in note.en for note in photos.notes)


def test_a_part_without_photos_is_refused(opened):
    subject, photos = opened("cutmix")
    photos.parts["test"] = ()
    with pytest.raises(InputError, match="test part of the run has 0 photos"):
        explain(subject, photos)


@pytest.mark.parametrize("wrong", [{"part": "tst"}, {"photos": 0}, {"pairs": 99}, {"seed": -1}])
def test_options_outside_their_range_are_refused(wrong):
    with pytest.raises(InputError, match=f"^{next(iter(wrong))}: expected"):
        ExplainOptions(**wrong)


def on_its_side(root, mask) -> RunPhotos:
    """A photo of 48 x 32 px that stands upright by its EXIF orientation, and its mask."""
    for folder in ("images/ng", "images/ok", "masks/ng"):
        (root / folder).mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.effect_noise((48, 32), 60).save(root / "images/ng/1.jpg", exif=exif.tobytes())
    Image.effect_noise((48, 32), 61).save(root / "images/ok/1.jpg")
    Image.fromarray(mask).save(root / "masks/ng/1.png")
    images = open_images(root)
    return RunPhotos(images, images.classes, images.targets, {}, 16, ())


@pytest.mark.parametrize(
    ("clean", "defect"),
    [(0, 1), (0, 255), (0, (1, 2)), (0, (60, 127)), (127, 128), (100, (200, 255)), (0, 65535)],
)
def test_a_defect_is_what_its_mask_says(clean, defect, tmp_path):
    mask = np.full((48, 32), clean, np.uint16 if np.max(defect) > 255 else np.uint8)
    mask[:24, :8], mask[:24, 8:16] = np.broadcast_to(defect, 2)
    photos = on_its_side(tmp_path, mask)
    wanted = torch.zeros(1, 16, 16)
    wanted[:, :8, :8] = 1.0
    assert photos.defect(0).equal(wanted)
    shown = read_photos(photos.images, [0, 1], 16)
    assert shown.regions.equal(torch.stack([wanted, torch.zeros(1, 16, 16)]))
    assert shown.empty_masks == (False, False)


def test_a_mask_in_colours_shows_all_of_them(tmp_path):
    mask = np.zeros((48, 32, 3), np.uint8)
    mask[:24, :8], mask[:24, 8:16] = (0, 0, 255), (200, 200, 0)
    assert on_its_side(tmp_path, mask).defect(0)[0, :8, :8].mean() == 1.0


def test_an_empty_mask_marks_nothing(tmp_path):
    photos = on_its_side(tmp_path, np.zeros((48, 32), np.uint8))
    assert photos.defect(0) is None
    assert read_photos(photos.images, [0, 1], 16).empty_masks == (True, False)


def test_a_mask_that_lies_on_its_side_is_refused(tmp_path):
    photos = on_its_side(tmp_path, np.ones((32, 48), np.uint8))
    said = "the mask of 'images/ng/1.jpg' has 48 x 32 px, its photo 32 x 48; give a mask of"
    with pytest.raises(InputError, match=said):
        photos.defect(0)
    with pytest.raises(InputError, match=said):
        read_photos(photos.images, [0, 1], 16)
