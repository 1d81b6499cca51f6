from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from samix import cli
from samix.cli import main

from .test_train import TINY, complaint, photos, somewhere_else  # noqa: F401

DATA = "demo:photos_per_class=12,size=16"
_MODEL = (
    "--backbone resnet18 --stem small --image-size 16 --model-kwargs layers=[1,1,1,1] "
    "channels=[8,8,8,8]"
)
MODEL = _MODEL.split()
_QUICK = "--draws 2 --labels 10% 2 --epochs 1 --least-steps 2 --device cpu"
QUICK = _QUICK.split()


@pytest.fixture
def weights() -> str:
    """Weights of a tiny timm model in a file."""
    import timm

    from samix import small_stem

    model = timm.create_model("resnet18", layers=[1] * 4, channels=[8, 8, 8, 8], num_classes=10)
    torch.save({"state_dict": small_stem(model).state_dict()}, "weights.pth")
    return "weights.pth"


def test_a_run_is_judged_on_its_own_splits(capsys):
    assert main(["train", DATA, *TINY, "--policy", "mixup", "--output", "run", "--seed", "4"]) == 0
    assert main(["evaluate", "run", "--data", DATA, "--output", "judged", *QUICK]) == 0
    out = capsys.readouterr().out
    assert {path.name for path in Path("judged").iterdir()} == {
        "evaluation.json",
        "evaluation.html",
    }
    result = json.loads(Path("judged/evaluation.json").read_text())
    assert {"knn", "linear", "finetune"} < set(result)
    assert result["source"]["kind"] == "run"
    assert result["source"]["method"] == "supervised"
    assert "run/splits.csv" in result["data"]["splits"]
    parts = [row.split(",")[1] for row in Path("run/splits.csv").read_text().splitlines()[1:]]
    assert result["data"]["photos"] == {part: parts.count(part) for part in set(parts)}
    assert result["data"]["source"] == DATA
    assert result["versions"]["timm"]
    assert 0 <= result["knn"]["random_encoder_accuracy"] <= 1
    for word in ("kNN", "random encoders", "pixels", "linear probe", "fine-tuning", "2 a class",
                 "±", "judged/evaluation.html"):  # fmt: skip
        assert word in out


def test_a_checkpoint_of_timm_on_a_folder_of_photos(weights, capsys):
    photos("photos", count=12)
    words = ["evaluate", weights, *MODEL, "--data", "photos", "--protocol", "knn"]
    idle = ["--labels", "10%", "--epochs", "2", "--neighbours", "99"]
    assert main([*words, "--part", "val", "--group-by", r"part(\d+)", *idle]) == 0
    out = capsys.readouterr().out
    assert "runs/evaluate-weights-pth/evaluation.html" in out
    assert "Without effect: --labels, --epochs, as protocol 'knn' has none of that." in out
    assert re.search(r"kNN has \d+ neighbours, all photos to learn from, not 99\.", out)
    result = json.loads(Path("runs/evaluate-weights-pth/evaluation.json").read_text())
    assert set(result) & {"knn", "linear", "finetune"} == {"knn"}
    assert result["knn"]["part"] == "val"
    assert main(words) == 0
    assert Path("runs/evaluate-weights-pth-2/evaluation.json").is_file()


BAD = [
    (["--protocol", "lineer"], ["lineer", "'linear'"]),
    (["--protocol", "all", "--part", "val"], ["--part val"]),
    (["--labels", "0"], ["--labels 0"]),
    (["--labels", "0%"], ["--labels 0%"]),
    (["--labels", "10%", "10%"], ["10%", "twice"]),
    (["--labels", "some"], ["some", "10%"]),
    (["--labels", "99"], ["99 labels", "class"]),
    (["--draws", "0"], ["--draws", "0"]),
    (["--neighbours", "-1"], ["--neighbours", "-1"]),
    (["--epochs", "0"], ["--epochs", "0"]),
    (["--lr", "0"], ["--lr", "0"]),
    (["--seed", "-1"], ["--seed", "-1"]),
    (["--draws", "many"], ["--draws", "many"]),
    (["--protocoll", "knn"], ["--protocoll", "--protocol"]),
    (["--image-size", "0"], ["--image-size", "0"]),
    (["--device", "tpu"], ["tpu"]),
    (["--precision", "8"], ["--precision", "8"]),
    (["--output", "photos"], ["photos", "exists"]),
    (["--output", "photos/good/part0_0.png/x"], ["part0_0.png/x", "cannot be written"]),
    (["--model-kwargs", "layers"], ["KEY=VALUE"]),
    (["--backbone", "resnet50"], ["weights.pth", "do not fit"]),
    (["--average"], ["--average", "run"]),
    (["--val-fraction", "2"], ["2"]),
]


@pytest.mark.parametrize(("words", "named"), BAD, ids=lambda v: " ".join(v)[:40])
def test_bad_options_are_refused_in_one_sentence(words, named, weights, capsys):
    photos("photos")
    said = complaint(["evaluate", weights, "--data", "photos", *MODEL, *words], capsys)
    for word in named:
        assert word in said
    assert not any(Path("runs").glob("*"))


def test_bad_sources_and_data_are_refused_in_one_sentence(weights, capsys):
    photos("photos")
    Path("empty").mkdir()
    for source, named in (
        ("runs/nothing", "runs/nothing"),
        ("empty", "not a run folder"),
        ("resnet81", "'resnet18'"),
        ("gone.pth", "gone.pth"),
        (weights, "--backbone"),
    ):
        assert named in complaint(["evaluate", source, "--data", "photos"], capsys)
    known = ["evaluate", weights, *MODEL]
    assert "--data" in complaint(known, capsys)
    assert "'nowhere'" in complaint([*known, "--data", "nowhere"], capsys)
    flat = Path("flat")
    flat.mkdir()
    for number, path in enumerate(sorted(Path("photos").rglob("*.png"))):
        path.rename(flat / f"{number}.png")
    assert "flat" in complaint([*known, "--data", "flat"], capsys)
    assert "SOURCE" in complaint(["evaluate", "--data", "flat"], capsys).upper()


def test_a_missing_extra_is_named(monkeypatch, capsys):
    def missing(*_):
        raise ModuleNotFoundError("No module named 'safetensors'", name="safetensors.torch")

    monkeypatch.setattr(cli, "run_command", missing)
    said = complaint(["evaluate", "run", "--data", "demo"], capsys)
    assert "'safetensors'" in said
    assert "pip install 'samix[ssl]'" in said


def test_help_explains_sources_and_every_option(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for word in ("run folder", "timm", "checkpoint", "--labels", "knn", "1%"):
        assert word in text
