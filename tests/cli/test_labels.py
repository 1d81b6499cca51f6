"""`--labels TABLE` and packed photos in the commands that learn from labels."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samix.cli import create_parser, main
from samix.cli.options import with_table
from samix.cli.poc import _wish
from samix.errors import InputError
from samix.study.plan import open_study
from samix.training import PretrainConfig, open_run, read_config

from .test_train import TINY, complaint, photos, somewhere_else  # noqa: F401

PLAIN = ["--policy", "none", "--output"]


@pytest.fixture
def flat() -> list[str]:
    """Flat photos, and a table of their labels as a spreadsheet in Japan writes it."""
    rng = np.random.default_rng(0)
    Path("photos").mkdir()
    rows = ["ファイル名;ラベル"]
    for i in range(24):
        pixels = rng.integers(0, 120, (16, 16, 3)) + 100 * (i % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(f"photos/{i:02d}.png")
        rows.append(f"C:\\photos\\{i:02d}.png;{'kizu' if i % 2 else 'good'}")
    Path("labels.csv").write_bytes("\r\n".join(rows).encode("cp932"))
    return ["photos", "--labels", "labels.csv"]


def test_training_evaluating_and_going_on_with_a_table(flat, capsys):
    assert main(["train", *flat, *TINY, *PLAIN, "run"]) == 0
    out = capsys.readouterr().out
    assert "The labels are those of column 'ラベル' in 'labels.csv' (read as cp932)." in out
    assert json.loads(Path("run/model.json").read_text())["classes"] == ["good", "kizu"]
    config = read_config(open_run("run"))
    assert config.labels == str(Path("labels.csv").resolve())
    with Path("run/predictions.csv").open(encoding="utf-8") as file:
        judged = {row["path"]: row["target"] for row in csv.DictReader(file)}
    assert judged
    assert all(("kizu" if int(key[:2]) % 2 else "good") == name for key, name in judged.items())
    assert main(["train", "--resume", "--output", "run", "--labels", "labels.csv"]) == 0
    Path("other.csv").write_text("path,label\n")
    error = complaint(["train", "--resume", "--output", "run", "--labels", "other.csv"], capsys)
    assert "--labels" in error
    assert "contradicts the run" in error
    words = ["evaluate", "run", "--data", "photos", "--protocol", "knn", "--device", "cpu"]
    assert main([*words, "--labels", "labels.csv", "50%", "--output", "judged"]) == 0
    judged = json.loads(Path("judged/evaluation.json").read_text())
    assert judged["knn"]["accuracy"] >= 0
    assert "The labels are those of column" in judged["notes"][0]
    assert main(["explain", "run", "--photos", "2", "--pairs", "1", "--output", "shown"]) == 0


def test_pre_training_and_checking_with_a_table(flat, capsys):
    small = ["--views", "simclr", "--method", "simclr", "--batch-size", "8"]
    assert main(["pretrain", *flat, *TINY, *small, *PLAIN, "run"]) == 0
    assert main(["check", *flat, "--output", "checked"]) in (0, 1)
    counts = json.loads(Path("checked/check.json").read_text())["classes"]
    assert {count["name"]: count["photos"] for count in counts} == {"kizu": 12, "good": 12}
    with pytest.raises(InputError, match="labels: expected None for several sets of photos"):
        PretrainConfig(data="photos", more_data=("demo",), labels="labels.csv")


def test_the_study_takes_a_table_beside_its_budgets(flat):
    chosen = create_parser().parse_args(["poc", *flat, "10,50", "100", "--label-column", "ラベル"])
    wish = _wish(vars(chosen))
    assert wish.fractions == (0.1, 0.5, 1.0)
    assert wish.photos == {"labels": "labels.csv", "label_column": "ラベル"}
    opened = open_study(wish, lambda what, done, total: None)
    assert opened.images.classes == ("good", "kizu")
    assert "The labels are those of column" in opened.notes[0]
    for settings in (opened.train, opened.pretrain):
        assert settings["labels"] == str(Path("labels.csv").resolve())
        assert settings["label_column"] == "ラベル"
    assert with_table({"labels": ["5", "25"]}, "budgets") == {"budgets": ["5", "25"]}
    assert with_table({"seed": 1}, "budgets") == {"seed": 1}
    with pytest.raises(InputError, match=r"--labels expects one table of labels, got a.csv, b.tsv"):
        with_table({"labels": ["a.csv", "b.tsv"]}, "budgets")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--labels", "gone.csv"], ["'gone.csv' cannot be read (No such file or directory)"]),
        (["--labels", "labels.csv", "--label-column", "x"], ["--label-column 'x' is no column of"]),
        ([], ["24 loose images", "name their classes in a table with --labels"]),
        (["--label-column", "x"], ["--label-column", "'x'", "with --labels"]),
    ],
)
def test_what_a_table_cannot_say(words, told, flat, capsys):
    error = complaint(["train", "photos", *words, *TINY], capsys)
    for word in told:
        assert word in error


def test_a_parquet_folder_is_learned_from_and_predicted(capsys):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    root = photos("plain", count=12)
    files = sorted(root.rglob("*.png"))
    rows = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    Path("packed").mkdir()
    table = pa.table({"image": rows, "kind": [file.parent.name for file in files]})
    pq.write_table(table, "packed/train.parquet")
    error = complaint(["train", "packed", *TINY], capsys)
    assert "has no column of classes, only image, kind; name theirs with --label-column" in error
    named = ["--label-column", "kind"]
    assert main(["train", "packed", *named, *TINY, *PLAIN, "run"]) == 0
    assert main(["predict", "run", "packed", "--output", "said.csv"]) == 0
    assert main(["predict", "run", "plain", "--output", "plain.csv"]) == 0
    said, same = (
        [line.split(",")[1] for line in Path(name).read_text().splitlines()[1:]]
        for name in ("said.csv", "plain.csv")
    )
    assert len(said) == 24
    assert sorted(said) == sorted(same)
