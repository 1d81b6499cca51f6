from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samix.cli import main
from samix.cli.pretrain import config_from
from samix.presets import about_preset, load_preset, preset_names

from .test_train import complaint, photos

_NETWORK = "--image-size 16 --stem small --model-kwargs layers=[1,1,1,1] channels=[8,8,8,8]"
TINY = f"{_NETWORK} --epochs 1 --device cpu --batch-size 10".split()


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMIX_CACHE", str(tmp_path / "cache"))


BAD_OPTIONS = [
    (["--method", "mocco"], ["mocco", "'moco'"]),
    (["--method", "supervised"], ["supervised", "moco"]),
    (["--method-options", "temprature=0.1"], ["temprature", "'temperature'"]),
    (["--method-options", "queue_size=8"], ["--batch-size 10", "8 keys"]),
    (["--method-options", "temperature=-1"], ["temperature", "-1"]),
    (["--views", "dino"], ["--views", "dino", "moco"]),
    (["--batch-size", "1"], ["--batch-size: expected at least 2", "got 1"]),
    (["--batch-size", "999"], ["--batch-size 999", "12"]),
    (["--policy", "i-mixx"], ["i-mixx", "the nearest is 'i-mix'"]),
    (["--policy", "mochi", "--method", "simclr"], ["mochi", "moco", "simclr"]),
    (["--policy", "none", "--clean-branch"], ["--clean-branch", "none"]),
    (["--policy", "photos"], ["photos", "not a run folder"]),
    (["--freeze-mixer"], ["--freeze-mixer", "--policy RUN"]),
    (["--preset", "small-resnet"], ["small-resnet", "samix train", "quick", "ssl-resnet"]),
    (["--preset", "quik"], ["quik", "'quick'"]),
    (["--image-size", "8", "--tap", "4"], ["--image-size 8", "1 x 1"]),
    (["--backbone", "resnet81"], ["resnet81", "resnet18"]),
    (["--labels-per-class", "5"], ["--labels-per-class"]),
    (["--device", "cuda:77"], ["cuda:77", "cpu"]),
    (["--lr", "nan"], ["--lr", "nan"]),
    (["--resume"], ["--resume", "--output"]),
    (["--resume", "--output", "photos"], ["photos", "not a run folder"]),
]


@pytest.mark.parametrize(("words", "named"), BAD_OPTIONS, ids=lambda v: " ".join(v)[:40])
def test_bad_options_are_refused_in_one_sentence(words, named, capsys):
    photos("photos")
    said = complaint(["pretrain", "photos", *TINY, *words], capsys)
    for word in named:
        assert word in said
    assert not Path("runs").exists()


def test_bad_data_is_refused_in_one_sentence(capsys):
    assert "DATA" in complaint(["pretrain", *TINY], capsys)
    assert "'nowhere'" in complaint(["pretrain", "nowhere", *TINY], capsys)
    Path("few").mkdir()
    for i in range(4):
        Image.fromarray(np.full((16, 16, 3), 50 * i, np.uint8)).save(f"few/{i}.png")
    few = ["pretrain", "few", *TINY, "--batch-size", "2"]
    assert "4 photos are too few" in complaint(few, capsys)


def test_train_refuses_what_is_for_pretraining(capsys):
    photos("photos")
    words = ["train", "photos", *TINY]
    assert "samix pretrain" in complaint([*words, "--policy", "i-mix"], capsys)
    assert "samix pretrain" in complaint([*words, "--preset", "quick"], capsys)
    said = complaint([*words, "--init", "photos"], capsys)
    assert "--init 'photos' is not a run folder" in said
    assert "--method" in complaint([*words, "--method", "moco"], capsys)
    assert not Path("runs").exists()


def test_the_whole_way(capsys):
    """Photos without labels, then a classifier from few labels with encoder and Mixer of it."""
    demo = "demo:photos_per_class=10,size=16"
    assert main(["pretrain", demo, *TINY, "--alpha", "1.5", "--output", "first"]) == 0
    out = capsys.readouterr().out
    for word in ("epoch 1/1", "held-out", "kNN", "NEVER CAME ALIVE", "samix evaluate first"):
        assert word in out
    assert "samix train DATA --init first --policy first" in out

    train = ["train", demo, "--init", "first", "--policy", "first", "--device", "cpu"]
    few = ["--labels-per-class", "2", "--epochs", "1", "--output"]
    assert main([*train, *few, "second"]) == 0
    out = capsys.readouterr().out
    assert "The split is that of" in out
    assert "top-1" in out
    model, first = (json.loads(Path(run, "model.json").read_text()) for run in ("second", "first"))
    for name in ("backbone", "model_kwargs", "stem", "image_size", "mixer"):
        assert model[name] == first[name]
    assert (model["kind"], first["kind"]) == ("classifier", "embedding")

    said = complaint([*train, *few, "third", "--backbone", "resnet34"], capsys)
    assert "--backbone resnet18, got resnet34" in said
    assert not Path("third").exists()
    # options that are those of the run are no contradiction when it is resumed
    assert main([*train, "--resume", "--output", "second"]) == 0
    assert "--init" in complaint(["train", "--resume", "--output", "second", "--init", "x"], capsys)


def test_resume_is_for_the_command_that_began_and_shows_a_finished_run(capsys):
    photos("photos")
    words = ["pretrain", "photos", *TINY, "--policy", "none", "--output", "run"]
    assert main(words) == 0
    before = json.loads(Path("run/metrics.json").read_text())
    said = complaint(["train", "--resume", "--output", "run"], capsys)
    assert "samix pretrain --resume --output run" in said
    said = complaint(["pretrain", "--resume", "--output", "run", "--method", "byol"], capsys)
    assert "--method byol" in said
    assert main([*words, "--resume"]) == 0
    assert "finished already" in capsys.readouterr().out
    assert json.loads(Path("run/metrics.json").read_text()) == before


def test_run_folders_are_named_by_method_and_policy():
    photos("photos")
    assert main(["pretrain", "photos", *TINY, "--policy", "mixup", "--method", "simclr"]) == 0
    assert Path("runs/photos-simclr-mixup/model.safetensors").is_file()


def test_divergence_exits_with_one(capsys):
    photos("photos")
    words = ["--policy", "none", "--lr", "1e30", "--warmup", "0", "--epochs", "3"]
    assert main(["pretrain", "photos", *TINY, *words]) == 1
    err = capsys.readouterr().err
    assert "finite" in err
    assert err.count("\n") == 1


def test_presets_know_their_command():
    assert set(preset_names("pretrain")) == {"mixer", "quick", "ssl-resnet"}
    assert set(preset_names()) == {*preset_names("train"), *preset_names("pretrain")}
    assert config_from({"data": "demo"}).preset == "quick"
    assert "Self-supervised" in about_preset("quick")


def test_settings_of_a_preset_for_another_method_are_left_out():
    preset = load_preset("ssl-resnet")["method_options"]
    assert preset
    given = {"data": "demo", "preset": "ssl-resnet"}
    assert config_from({**given, "method": "byol"}).method_options == {}
    options = config_from({**given, "method_options": ["temperature=0.1"]}).method_options
    assert options == {**preset, "temperature": 0.1}


@pytest.mark.parametrize("name", preset_names("pretrain"))
def test_every_preset_is_a_valid_configuration(name):
    from samix.training.building import check_names

    check_names(config_from({"data": "photos", "preset": name}))
