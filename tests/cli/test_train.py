from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from samix.cli import main
from samix.cli.running import idle_of, say_idle
from samix.cli.train import config_from
from samix.errors import InputError
from samix.presets import load_preset, preset_names

_WORDS = (
    "--image-size 16 --stem small --model-kwargs layers=[1,1,1,1] channels=[8,8,8,8] "
    "--epochs 1 --device cpu"
)
TINY = _WORDS.split()


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMIX_CACHE", str(tmp_path / "cache"))


def photos(folder: str, classes=("good", "crack"), count=10) -> Path:
    rng = np.random.default_rng(0)
    for number, name in enumerate(classes):
        Path(folder, name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 120, (16, 16, 3)) + 100 * number
            path = Path(folder, name, f"part{i // 2}_{i}.png")
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return Path(folder)


def complaint(words: list[str], capsys) -> str:
    """Run a command that must fail as bad input does: code 2, one sentence, no traceback."""
    try:
        code = main(words)
    except SystemExit as stopped:  # from argparse
        code = stopped.code
    out, err = capsys.readouterr()
    assert code == 2, (out, err)
    assert err.startswith("samix: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


BAD_OPTIONS = [
    (["--backbone", "resnet81"], ["resnet81", "resnet18"]),
    (["--policy", "cutmics"], ["cutmics", "'cutmix'"]),
    (["--preset", "small"], ["'small'", "small-resnet"]),
    (["--device", "cuda:77"], ["cuda:77", "cpu"]),
    (["--device", "tpu"], ["tpu"]),
    (["--epochs", "0"], ["--epochs", "0"]),
    (["--epochs", "-2"], ["--epochs", "-2"]),
    (["--epochs", "many"], ["--epochs", "many"]),
    (["--epoch", "3"], ["--epoch", "--epochs"]),
    (["--lr", "-0.1"], ["--lr", "-0.1"]),
    (["--lr", "nan"], ["--lr", "nan"]),
    (["--batch-size", "0"], ["--batch-size", "0"]),
    (["--batch-size", "1"], ["--batch-size 1", "batch norm", "at least 2"]),
    (["--batch-size", "999"], ["--batch-size", "999", "12"]),
    (["--image-size", "8", "--backbone", "resnet18", "--tap", "4"], ["--image-size 8", "1 x 1"]),
    (["--image-size", "4"], ["4"]),
    (["--alpha", "0"], ["alpha", "0"]),
    (["--p", "1.5"], ["p:", "1.5"]),
    (["--policy", "none", "--alpha", "1"], ["alpha", "'none'"]),
    (
        ["--policy", "mixup", "--policy-options", "alpha=1", "--alpha", "2"],
        ["--alpha", "--policy-options"],
    ),
    (["--eta", "-1"], ["--eta", "-1"]),
    (["--tap", "9"], ["tap", "9"]),
    (["--group-by", "zzz"], ["zzz"]),
    (["--group-by", "("], ["("]),
    (["--labels-per-class", "50"], ["50"]),
    (["--model-kwargs", "layers"], ["KEY=VALUE", "layers"]),
    (["--model-kwargs", "wings=2"], ["wings"]),
    (["--policy-options", "mixer={start: fast}"], ["fast"]),
    (["--stem", "big"], ["--stem", "big"]),
    (["--nodes", "2"], ["--nodes 2", "torchrun"]),
    (["--output", "photos"], ["photos", "exists"]),
    (["--output", "photos/good/part0_0.png/run"], ["part0_0.png/run", "cannot be written"]),
    (["--resume"], ["--resume", "--output"]),
    (["--resume", "--output", "photos"], ["photos", "not a run folder"]),
]


@pytest.mark.parametrize(("words", "named"), BAD_OPTIONS, ids=lambda v: " ".join(v)[:40])
def test_bad_options_are_refused_in_one_sentence(words, named, capsys):
    photos("photos")
    said = complaint(["train", "photos", *TINY, *words], capsys)
    for word in named:
        assert word in said
    assert not Path("runs").exists()


def test_bad_data_is_refused_in_one_sentence(capsys):
    def said(folder: str) -> str:
        return complaint(["train", folder, *TINY], capsys)

    assert "'nowhere'" in said("nowhere")
    Path("empty").mkdir()
    assert "empty'" in said("empty")
    photos("single", classes=("good",))
    assert "only one class" in said("single")
    for path in sorted(photos("small").glob("crack/*"))[2:]:
        path.unlink()
    assert "'crack'" in (text := said("small"))
    assert "2 photos" in text
    assert "DATA" in complaint(["train", *TINY], capsys)
    assert "torch/cifar10" in said("torch/cifar11")


def test_corrupt_photos_are_named_counted_and_skipped_when_asked(capsys):
    folder = photos("photos", count=12)
    whole = (folder / "good" / "part1_3.png").read_bytes()
    (folder / "good" / "part1_3.png").write_bytes(whole[: len(whole) // 2])
    (folder / "good" / "part2_4.png").write_bytes(b"")
    (folder / "crack" / "part0_0.png").write_bytes(b"no photo at all")
    said = complaint(["train", "photos", *TINY], capsys)
    for word in ("3 of 24", "part1_3.png", "part2_4.png", "part0_0.png", "--skip-corrupt"):
        assert word in said
    assert main(["train", "photos", *TINY, "--policy", "mixup", "--skip-corrupt"]) == 0
    assert "3 photos that cannot be read" in capsys.readouterr().out
    assert len(Path("runs/photos-mixup/splits.csv").read_text().splitlines()) == 1 + 21


def test_photos_of_any_mode_are_trained_on(capsys):
    folder = photos("photos")
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> np.ndarray:
        return rng.integers(0, 255, shape, dtype=np.uint8)

    Image.fromarray(noise(16, 16)).save(folder / "good" / "part0_0.png")
    Image.fromarray(noise(16, 16, 4), "RGBA").save(folder / "good" / "part0_1.png")
    Image.fromarray(noise(16, 16, 4), "CMYK").save(folder / "good" / "part9_9.tif")
    sixteen = rng.integers(0, 65535, (16, 16)).astype(np.uint16)
    Image.fromarray(sixteen).save(folder / "good" / "part1_2.png")
    assert main(["train", "photos", *TINY, "--policy", "cutmix"]) == 0


def test_trains_and_says_what_came_of_it(capsys):
    photos("photos")
    words = ["--group-by", r"part(\d+)", "--label-fraction", "0.5", "--alpha", "1.5", "--seed", "3"]
    assert main(["train", "photos", *TINY, *words]) == 0
    out = capsys.readouterr().out
    for word in ("epoch 1/1", "top-1", "balanced accuracy", "average", "NEVER CAME ALIVE"):
        assert word in out
    assert "runs/photos-samix/mixes.png" in out
    lines = Path("runs/photos-samix/splits.csv").read_text().splitlines()
    assert lines[0] == "path,split,group"
    splits = [line.split(",") for line in lines[1:]]
    assert any(split == "unused" for _, split, _ in splits)
    sides = {}
    for _, split, group in splits:
        # photos whose labels are not used come out of the train part
        sides.setdefault(group, set()).add("train" if split == "unused" else split)
    assert all(len(found) == 1 for found in sides.values())
    # a second run takes the next free name
    assert main(["train", "photos", *TINY, "--policy", "samix"]) == 0
    assert Path("runs/photos-samix-2/metrics.json").is_file()


def test_resume_refuses_what_contradicts_and_shows_a_finished_run(capsys):
    photos("photos")
    assert main(["train", "photos", *TINY, "--policy", "none", "--output", "run"]) == 0
    before = json.loads(Path("run/metrics.json").read_text())
    for words, named in (
        (["--epochs", "5"], "--epochs 5"),
        (["--policy", "mixup"], "--policy mixup"),
        (["--backbone", "resnet34"], "--backbone resnet34"),
    ):
        said = complaint(["train", "photos", "--resume", "--output", "run", *words], capsys)
        assert named in said
    assert main(["train", "photos", *TINY, "--policy", "none", "--resume", "--output", "run"]) == 0
    assert main(["train", "--resume", "--output", "run"]) == 0
    assert "finished already" in capsys.readouterr().out
    assert json.loads(Path("run/metrics.json").read_text()) == before


def test_divergence_exits_with_one(capsys):
    photos("photos")
    assert (
        main(["train", "photos", *TINY, "--policy", "none", "--lr", "1e30", "--warmup", "0"]) == 1
    )
    err = capsys.readouterr().err
    assert re.search(r"not (a )?finite numbers?.*epoch 1", err)
    assert err.count("\n") == 1


def test_options_come_before_the_preset_and_the_preset_before_defaults():
    config = config_from({"data": "photos", "preset": "small-resnet", "lr": 0.3})
    preset = load_preset("small-resnet")
    assert config.lr == 0.3
    assert config.epochs == preset["epochs"]
    assert config.eta == 0.5
    assert config.shrink_batch
    assert not config_from({"data": "photos", "batch_size": 8}).shrink_batch
    assert config_from({"data": "demo"}).preset == "demo"
    assert config_from({"data": "photos"}).stem is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"splits": "s.csv", "val_fraction": 0.3, "test_fraction": 0.5},
         "Without effect: --val-fraction, --test-fraction, as the parts are those of --splits."),
        ({"policy": "cutmix", "eta": 0.3, "mixer_lr": 0.1},
         "Without effect: --eta, --mixer-lr, as no Mixer learns with policy 'cutmix'."),
        ({"eta": 0.3}, "Without effect: --eta, as no Mixer learns with policy 'none'."),
        ({"steps": 30, "epochs": 1}, "Without effect: --epochs, as --steps says how long the run "
         "is."),
        ({"policy": "mixup", "teacher": "frozen"},
         "Without effect: --teacher, as no Mixer learns with policy 'mixup'."),
        ({"pairing": "same", "mix_epochs": 2.0},
         "Without effect: --mix-epochs, --pairing, as nothing is mixed with policy 'none'."),
        ({"policy": "frozen", "epochs": 2, "lr": 0.1},
         "Without effect: --epochs, --lr, as the frozen network learns nothing."),
        ({"download": True}, "Without effect: --download, as DATA is no timm name."),
        ({"data": "torch/cifar10", "download": True}, ""),
        ({"policy": "samix", "eta": 0.3, "mixer_lr": 0.1, "epochs": 2, "val_fraction": 0.1}, ""),
    ],
)  # fmt: skip
def test_options_that_mean_nothing_beside_others_are_told(given, told):
    said: list[str] = []
    given = {"data": "photos", **given}
    say_idle(idle_of(given, config_from(given)), given, SimpleNamespace(say=said.append))
    assert said == ([told] if told else [])


def test_settings_of_a_preset_for_another_policy_or_model_are_left_out():
    given = {"data": "demo", "policy": "mixup"}
    assert config_from(given).policy_options == {}
    assert config_from({**given, "alpha": 0.4}).policy_options == {"alpha": 0.4}
    assert config_from({"data": "demo", "backbone": "vit_tiny_patch16_224"}).model_kwargs == {}
    words = {"data": "demo", "model_kwargs": ["drop_path_rate=0.1"]}
    assert set(config_from(words).model_kwargs) == {
        "layers",
        "channels",
        "stem_type",
        "stem_width",
        "drop_path_rate",
    }


@pytest.mark.parametrize("name", preset_names("train"))
def test_every_preset_is_a_valid_configuration(name):
    from samix.training.building import check_names

    check_names(config_from({"data": "photos", "preset": name}))


def test_a_missing_extra_is_named():
    code = "import sys; sys.modules['lightning'] = None; from samix.cli import main; "
    code += "sys.exit(main(['train', 'demo']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'samix[train]'" in done.stderr
    assert "'lightning'" in done.stderr
    assert "Traceback" not in done.stderr


def test_options_that_python_cannot_mean_are_refused():
    with pytest.raises(InputError, match="KEY=VALUE"):
        config_from({"data": "demo", "model_kwargs": ["=3"]})
