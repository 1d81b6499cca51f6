"""Every example is short, runs, and ends with a figure that is better than guessing."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
LEAST = {  # what main() returns at least; guessing gives 0.33, 0.5 for several labels, 0 for IoU
    "plain_loop": 0.9,
    "timm_recipe": 0.9,
    "collate": 0.7,
    "own_lightning_module": 0.9,
    "hf_trainer": 0.7,
    "dense_targets": 0.8,
    "multi_label": 0.8,
    "lightly_moco": 0.5,
    "lightly_simclr": 0.5,
    "own_byol": 0.5,
}
NEEDED = {"hf_trainer": "transformers"}  # an example of an extra that is not for development


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    if name in NEEDED:
        pytest.importorskip(NEEDED[name], reason=f"{name} needs '{NEEDED[name]}'")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_short_and_says_how_to_run_it(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text()
    assert len(text.splitlines()) <= 60
    assert f"python examples/{name}.py" in text or name == "photos"


@pytest.mark.parametrize("name", list(LEAST))
def test_it_ends_with_a_figure(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = example(name, monkeypatch)["main"]()
    assert found >= LEAST[name]
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.search(r"\d", last)
    assert re.search(r"guessing|before|would give", last), "it says what the figure is worth"


def test_the_whole_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = example("whole_way", monkeypatch)["main"](tmp_path)
    assert found["the encoder"] >= 0.5
    assert "guessing gives 25%" in capsys.readouterr().out.splitlines()[-1]


def test_every_example_is_tried() -> None:
    assert set(NAMES) == {*LEAST, "whole_way", "photos"}


@pytest.mark.parametrize("name", ["plain_loop", "own_lightning_module"])
def test_accumulation_and_bf16(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"plain_loop": {"bf16": True}, "own_lightning_module": {"precision": "bf16-mixed"}}
    assert example(name, monkeypatch)["main"](accumulate=2, **options[name]) >= 0.8


def test_accumulation_and_bf16_with_hugging_face(monkeypatch: pytest.MonkeyPatch) -> None:
    main = example("hf_trainer", monkeypatch)["main"]
    assert main(gradient_accumulation_steps=2, bf16=True, num_train_epochs=8) >= 0.6


@pytest.mark.slow
def test_two_processes() -> None:
    """Each process has half of the photos, and batch statistics of its own."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "own_lightning_module.py"), "2"],
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = re.findall(r"(\d+)% of 96 new photos", done.stdout)
    assert len(told) == 2
    assert min(map(int, told)) >= 70
