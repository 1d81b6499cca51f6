from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from samix.cli import main
from samix.cli import predict as predict_command
from samix.data import DemoOptions, write_demo
from samix.data.depth import Depth
from samix.data.reading import decode
from samix.data.views import squeeze
from samix.errors import InputError
from samix.networks import onnx_export
from samix.training.predict import PredictOptions, open_classifier, predict

from .test_train import TINY, complaint, photos, somewhere_else  # noqa: F401


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The demo as files, and a run with an average on it; they are not to be changed."""
    folder = tmp_path_factory.mktemp("predict")
    write_demo(folder / "parts", DemoOptions(photos_per_class=12, size=16))
    words = ["--policy", "mixup", "--momentum-average", "--output", str(folder / "run")]
    assert main(["train", str(folder / "parts"), *TINY, *words, "--epochs", "2"]) == 0
    return folder


@pytest.fixture
def here(finished) -> None:
    """Copies of both that may be changed."""
    for name in ("parts", "run"):
        shutil.copytree(finished / name, name)


def rows_of(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_same_numbers_as_the_run_found_for_its_own_test_photos(here, capsys):
    assert main(["predict", "run", "parts", "--probabilities"]) == 0
    out = capsys.readouterr().out
    said = {row["path"]: row for row in rows_of("run/predictions-parts.csv")}
    judged = rows_of("run/predictions.csv")
    assert len(said) == 72 > len(judged) > 20
    for row in judged:
        own = said[f"parts/{row['path']}"]
        assert own["class"] == row["predicted"]
        for name in (column for column in row if column.startswith("p_")):
            assert float(own[name]) == pytest.approx(float(row[name]), abs=1e-5)
        assert float(own["confidence"]) == max(float(own[n]) for n in own if n.startswith("p_"))
    assert not any("masks" in path for path in said)
    assert "72 photos" in out
    assert "run/predictions-parts.csv" in out
    counts = {name: sum(row["class"] == name for row in said.values()) for name in {
        row["class"] for row in said.values()}}  # fmt: skip
    for name, count in counts.items():
        mean = np.mean([float(r["confidence"]) for r in said.values() if r["class"] == name])
        line = next(line for line in out.splitlines() if f" {name} " in line and "│" in line)
        assert [part.strip() for part in line.strip("│").split("│")] == [
            name, str(count), f"{count / 72:.1%}", f"{mean:.3f}",
        ]  # fmt: skip


def test_a_nested_folder_without_labels_single_files_and_free_names(here, capsys):
    Path("new/day 1/line ä").mkdir(parents=True)
    for at, path in enumerate(sorted(Path("parts/images").rglob("*.png"))[:5]):
        shutil.copy(path, f"new/day 1/line ä/{at}.png" if at % 2 else f"new/{at}.PNG")
    Path("new/notes.txt").write_text("no photo")
    Path("new/.hidden.png").write_text("no photo")
    assert main(["predict", "run", "new"]) == main(["predict", "run", "new/", "--batch-size", "2"])
    first, again = rows_of("run/predictions-new.csv"), rows_of("run/predictions-new-2.csv")
    assert [row["path"] for row in first] == [
        "new/0.PNG", "new/2.PNG", "new/4.PNG", "new/day 1/line ä/1.png", "new/day 1/line ä/3.png",
    ]  # fmt: skip
    assert list(first[0]) == ["path", "class", "confidence"]
    for one, other in zip(first, again, strict=True):
        assert one["class"] == other["class"]
        assert float(one["confidence"]) == pytest.approx(float(other["confidence"]), abs=1e-5)
    words = ["new/4.PNG", "./new/4.PNG", "new/0.PNG", "--output", "deep/er/said.csv"]
    assert main(["predict", "run", *words]) == 0
    assert [row["path"] for row in rows_of("deep/er/said.csv")] == ["new/4.PNG", "new/0.PNG"]
    assert main(["predict", "run", "new/4.PNG"]) == 0
    assert Path("run/predictions-4.csv").is_file()
    assert "1 photo, classified" in capsys.readouterr().out


def test_the_average_is_another_network(here, capsys):
    for flag, name in (("--average", "a.csv"), ("--probabilities", "b.csv")):
        words = [flag, "--probabilities", "--output", name]
        assert main(["predict", "run", "parts", *words]) == 0
    average, encoder = rows_of("a.csv"), rows_of("b.csv")
    assert average != encoder
    Path("run/model_average.safetensors").unlink()
    said = complaint(["predict", "run", "parts", "--average"], capsys)
    assert "'run' has no model_average.safetensors" in said


def test_corrupt_photos_are_named_or_counted(here, capsys):
    Path("parts/images/good/aa.png").write_bytes(b"no photo")
    Path("parts/images/stain/zz.png").write_bytes(b"")
    said = complaint(["predict", "run", "parts"], capsys)
    for word in ("2 of 74", "good/aa.png", "stain/zz.png", "--skip-corrupt"):
        assert word in said
    assert not list(Path("run").glob("predictions-*"))
    words = ["--skip-corrupt", "--batch-size", "1"]  # a batch may hold nothing but a corrupt one
    assert main(["predict", "run", "parts", *words]) == 0
    assert "2 that cannot be read" in capsys.readouterr().out
    assert len(rows_of("run/predictions-parts.csv")) == 72
    words = ["parts/images/good/aa.png", "--skip-corrupt"]
    assert "no photo can be read" in complaint(["predict", "run", *words], capsys)


def test_photos_are_judged_batch_by_batch(here):
    from samix.data.folder import open_unsorted

    classifier = open_classifier("run")
    sizes: list[int] = []
    classifier.network.register_forward_hook(lambda _m, given, _o: sizes.append(len(given[0])))
    steps: list[tuple[int, int]] = []
    options = PredictOptions(batch_size=10)
    images = open_unsorted(["parts"])
    predict(classifier, images, Path("p.csv"), options, progress=lambda *at: steps.append(at))
    assert sizes == [10] * 7 + [2]
    assert steps == [(min(10 * (i + 1), 72), 72) for i in range(8)]


def test_an_interrupted_command_leaves_no_file(here, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("samix.training.predict._judge", stop)
    assert main(["predict", "run", "parts", "--output", "said.csv"]) == 130
    assert not list(Path().glob("said*"))


def test_any_mode_of_photo(here):
    Path("odd").mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (20, 9), dtype=np.uint8)).save("odd/grey.png")
    Image.fromarray(rng.integers(0, 65535, (9, 9)).astype(np.uint16)).save("odd/16.png")
    Image.fromarray(rng.integers(0, 255, (5, 9, 4), dtype=np.uint8), "RGBA").save("odd/clear.png")
    assert main(["predict", "run", "odd"]) == 0
    assert len(rows_of("run/predictions-odd.csv")) == 3


def test_photos_of_twelve_bits_are_read_as_the_run_learned_from_them(here, capsys):
    """The same part is the same to the network, whether its file is dark or bright, in any set."""
    model = json.loads(Path("run/model.json").read_text())
    assert model["depth"] is None
    ramp = np.linspace(0, 4095, 32 * 32).astype(np.uint16).reshape(32, 32)
    Path("deep").mkdir()
    Image.fromarray(ramp // 4).save("deep/dark.png")
    Image.fromarray((ramp // 4 * (255 / 4095)).round().astype(np.uint8)).save("same.png")
    write = Path("run/model.json").write_text
    write(json.dumps({**model, "depth": {"integers": 4095.0, "floats": None}}))
    assert open_classifier("run").depth == Depth(integers=4095.0)
    assert main(["predict", "run", "deep", "same.png", "--output", "p.csv"]) == 0
    one, other = rows_of("p.csv")
    assert (one["class"], one["confidence"]) == (other["class"], other["confidence"])
    Image.fromarray(ramp * 4).save("deep/white.png")
    assert "white is 4095" in complaint(["predict", "run", "deep"], capsys)
    write(json.dumps(model))  # a run of 8 bits finds the depth, and says that it did
    assert main(["predict", "run", "deep", "--output", "q.csv"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "which the run did not learn from; white is taken to be 16,383 (14 bits)" in said
    write(json.dumps({**model, "depth": {"integers": 4000}}))
    assert "depth: expected one of" in complaint(["predict", "run", "deep"], capsys)
    write(json.dumps(model))


BAD = [
    (["run"], ["PHOTOS are missing", "--onnx"]),
    (["run", "--output", "x.csv"], ["PHOTOS are missing"]),
    (["run", "--onnx", "m.onnx", "--output", "x.csv"], ["--output", "name them"]),
    (["nowhere", "parts"], ["there is no folder 'nowhere'", "samix train"]),
    (["parts", "parts"], ["'parts' has no model.json"]),
    (["run", "prats"], ["'prats'", "did you mean 'parts'"]),
    (["run", ""], ["''"]),
    (["run", "empty"], ["'empty' holds no image"]),
    (["run", "parts", "--output", "file"], ["'file' exists already"]),
    (["run", "parts", "--output", "parts"], ["'parts' exists already"]),
    (["run", "parts", "--output", "file/x.csv"], ["file/x.csv", "cannot be written"]),
    (["run", "--onnx", "file"], ["--onnx 'file' exists already"]),
    (["run", "parts", "--batch-size", "0"], ["--batch-size", "0"]),
    (["run", "parts", "--device", "tpu"], ["'tpu'"]),
    (["run", "parts", "--probability"], ["--probability", "--probabilities"]),
]


@pytest.mark.parametrize(("words", "named"), BAD, ids=lambda v: " ".join(v)[:40])
def test_bad_options_are_refused_in_one_sentence(words, named, here, capsys):
    Path("empty").mkdir()
    Path("file").write_text("")
    before = sorted(Path().rglob("*"))
    said = complaint(["predict", *words], capsys)
    for word in named:
        assert word in said
    assert sorted(Path().rglob("*")) == before


def test_runs_that_cannot_judge(here, capsys):
    def said() -> str:
        return complaint(["predict", "run", "parts"], capsys)

    model = json.loads(Path("run/model.json").read_text())

    def write(**changes: object) -> None:
        Path("run/model.json").write_text(json.dumps({**model, **changes}))

    write(kind="embedding")
    assert "samix pretrain" in said()
    write(backbone="resnet81")
    assert "resnet81" in said()
    write(backbone="resnet50")
    assert "is of another network" in said()
    write(classes=["one"])
    assert "is of another network" in said()
    write(image_size="big")
    assert "image_size: expected 1 to 4096 px, got 'big'" in said()
    Path("run/model.json").write_text("[1]")
    assert "expected names and values, got a list" in said()
    Path("run/model.json").write_text("{")
    assert "cannot be read" in said()
    Path("run/model.json").unlink()
    assert "--resume --output run" in said()
    write()
    Path("run/model.safetensors").write_bytes(b"damaged")
    assert "model.safetensors" in said()


def test_a_model_that_gives_no_numbers_is_refused(here):
    from samix.data.folder import open_unsorted

    classifier = open_classifier("run")
    with torch.no_grad():
        next(classifier.network.parameters()).fill_(float("nan"))
    with pytest.raises(InputError, match="no finite numbers"):
        predict(classifier, open_unsorted(["parts"]), Path("p.csv"))
    assert not Path("p.csv").exists()


def test_onnx_says_what_the_csv_says(here, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    words = ["parts/images/good", "--probabilities", "--output", "said.csv", "--onnx", "m.onnx"]
    assert main(["predict", "run", *words]) == 0
    assert "m.onnx" in capsys.readouterr().out
    rows = rows_of("said.csv")
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    classes, size = json.loads(about["classes"]), json.loads(about["image_size"])
    stacked = torch.stack([squeeze(decode(row["path"], row["path"]), size) for row in rows])
    values = (stacked.float() / 255).numpy()
    (found,) = session.run(["probabilities"], {"photos": values})
    wanted = np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows])
    assert found.shape == wanted.shape == (12, 6)
    assert np.abs(found - wanted).max() <= 1e-4
    (alone,) = session.run(["probabilities"], {"photos": values[:1]})  # the batch is free
    assert np.abs(alone - wanted[:1]).max() <= 1e-4
    assert [name for name in classes if f"p_{name}" in rows[0]] == classes


def test_an_onnx_file_that_differs_is_not_handed_out(here, monkeypatch, capsys):
    class Program:
        model = SimpleNamespace(metadata_props={})

        def save(self, path: Path) -> None:
            path.write_bytes(b"another network")

    monkeypatch.setattr("torch.onnx.export", lambda *given, **options: Program())
    monkeypatch.setattr(onnx_export, "classifier_distance", lambda *given: float("nan"))
    assert main(["predict", "run", "parts", "--onnx", "m.onnx"]) == 1
    assert "differ by nan" in capsys.readouterr().err
    assert not list(Path().glob("m.onnx*"))
    assert not list(Path("run").glob("predictions-*"))

    def fails(*given, **options):
        raise RuntimeError("no such operator\nsecond line")

    monkeypatch.setattr("torch.onnx.export", fails)
    assert main(["predict", "run", "--onnx", "m.onnx"]) == 1
    assert "cannot be written as ONNX (no such operator)" in capsys.readouterr().err


def test_a_missing_extra_is_named_before_any_work(here, monkeypatch, capsys):
    monkeypatch.setattr(predict_command, "_is_there", lambda name: name != "onnxruntime")
    said = complaint(["predict", "run", "parts", "--onnx", "m.onnx"], capsys)
    assert "'onnxruntime'" in said
    assert "pip install 'samix[onnx]'" in said
    assert not list(Path("run").glob("predictions-*"))
