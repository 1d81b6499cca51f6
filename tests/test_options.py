"""An option is declared in one place, and is then in help, files, Python and errors."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields

import pytest

from samix.cli.options import add_fields, add_run
from samix.errors import InputError
from samix.methods.options import MixOptions, SelfSupervisedOptions, SupervisedOptions
from samix.options import from_plain, option
from samix.shown import flagged
from samix.training import PretrainConfig, TrainConfig


@dataclass(frozen=True, kw_only=True)
class MoreConfig(TrainConfig):
    """A configuration with one field more, and nothing else."""

    sharpness: float = option(0.25, "how sharp masks are", group="mixing", least=0, most=2)


def test_a_new_field_is_in_help_files_python_and_errors() -> None:
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    add_run(parser, MoreConfig, demo="")
    shown = " ".join(parser.format_help().split())
    assert "--sharpness X how sharp masks are (0.25)" in shown
    assert parser.parse_args(["demo", "--sharpness", "1.5"]).sharpness == 1.5
    assert "sharpness" not in parser.parse_args(["demo"])
    made = from_plain({"data": "demo", "sharpness": 1}, MoreConfig)
    assert made.sharpness == 1
    assert made == MoreConfig(data="demo", sharpness=1)
    assert from_plain(made.to_dict(), MoreConfig) == made
    with pytest.raises(InputError) as caught:
        MoreConfig(data="demo", sharpness=3)
    assert str(caught.value) == "sharpness: expected a number in [0, 2], got 3"
    told = flagged(str(caught.value), MoreConfig.names())
    assert told == "--sharpness: expected a number in [0, 2], got 3"
    with pytest.raises(InputError, match="sharpness: expected a number, got 'much'"):
        from_plain({"data": "demo", "sharpness": "much"}, MoreConfig)


@pytest.mark.parametrize("kind", [TrainConfig, PretrainConfig])
def test_no_option_is_declared_twice(kind) -> None:
    above = [name for base in kind.__mro__ for name in vars(base).get("__annotations__", {})]
    own = [field.name for field in fields(kind)]
    assert sorted(name for name in above if name in own) == sorted(own)


def test_runs_choose_what_methods_let_choose() -> None:
    assert set(SupervisedOptions.names()) <= set(TrainConfig.names())
    assert set(MixOptions.names()) <= set(PretrainConfig.names())
    given = TrainConfig(data="demo", pairing="same", eta=0.25, clean_branch="half")
    chosen = SupervisedOptions.part_of(given)
    assert (chosen.pairing, chosen.eta, chosen.clean_branch) == ("same", 0.25, "half")
    assert SelfSupervisedOptions(mixer_candidates="clusters").mixer_candidates == "clusters"
    with pytest.raises(InputError, match="mixer_candidates: expected one of instances, clusters"):
        SelfSupervisedOptions(mixer_candidates="all")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("lr: expected a number, got 0", "--lr: expected a number, got 0"),
        ("data: expected a folder", "DATA: expected a folder"),
        ("poc.yaml: data: expected a text", "poc.yaml: data: expected a text"),
        ("leave batch_size out", "leave --batch-size out"),
        ("take precision=32 (or lr=0.1)", "take --precision 32 (or --lr 0.1)"),
        ("beside pretrained=True, got 'x'", "beside --pretrained, got 'x'"),
        ("the data at lr 3 in 'batch_size'", "the data at lr 3 in 'batch_size'"),
        ("try a lower `lr`, not `momentum`", "try a lower --lr, not momentum"),
        ("the queue_size of it", "the queue_size of it"),
        ("lr 'x' is none", "--lr 'x' is none"),
        ("an lr 'x' is none", "an lr 'x' is none"),
        ("by: samix poc resume=True output=a/b", "by: samix poc --resume --output a/b"),
        ("take `lr=1` (`data`)", "take --lr 1 (DATA)"),
    ],
)
def test_arguments_are_written_as_the_command_line_knows_them(message: str, told: str) -> None:
    names = {"lr", "data", "batch_size", "precision", "pretrained"}
    assert flagged(message, names) == told


def test_notes_name_arguments_in_backticks() -> None:
    told = "decide with `group_by`, not group_by; samix train DATA policy=x epochs=1"
    wanted = "decide with --group-by, not group_by; samix train DATA --policy x --epochs 1"
    assert flagged(told) == wanted


def test_a_command_says_what_a_field_means_to_it() -> None:
    parser = argparse.ArgumentParser()
    add_fields(parser, TrainConfig, "seed", "skip_corrupt", "guard", seed="of the photos (0)")
    shown = parser.format_help()
    assert "--seed N" in shown
    assert "of the photos (0)" in shown
    assert "--no-skip-corrupt" in shown
    assert parser.parse_args(["--guard"]).guard == "default"


def test_photos_are_named_as_the_command_takes_them() -> None:
    message = "the folder of `data` is empty"
    assert flagged(message) == "the folder of DATA is empty"
    assert flagged(message, positional=()) == "the folder of --data is empty"
