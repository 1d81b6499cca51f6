"""Run folders and Mixer folders of strangers: what is refused, before timm is asked."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import yaml
from safetensors.torch import save_file

from samix.cli import main
from samix.errors import InputError
from samix.evaluation import open_encoder
from samix.explain import open_network
from samix.networks import Mixer, built_in_mixers, create_backbone, open_mixer
from samix.networks.frozen_mixer import PretrainedMixer
from samix.training import TrainConfig, open_run, read_config
from samix.training.mixer_export import mixer_of_run
from samix.training.predict import open_classifier
from samix.training.warm_start import open_source

MAKE: dict[str, Any] = {
    "backbone": "resnet18", "stem": "small", "image_size": 16,
    "model_kwargs": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]},
}  # fmt: skip
OPENERS: dict[str, Callable[[Path], Any]] = {
    "evaluate": open_encoder,
    "predict": open_classifier,
    "init": lambda path: open_source(path, "init"),
    "explain": open_network,
    "export": mixer_of_run,
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The files of a finished run that others open, without a training."""
    path = tmp_path / "run"
    path.mkdir()
    network = create_backbone(num_classes=2, **MAKE)
    for name in ("model", "model_average"):
        save_file(network.state_dict(), path / f"{name}.safetensors")
    mixer = Mixer(8)
    save_file(mixer.state_dict(), path / "mixer.safetensors")
    options = {"channels": 8, "tap": 2, "options": {}, "alpha": 2.0}
    model = {
        **MAKE, "kind": "classifier", "classes": ["a", "b"], "mean": [0.5] * 3, "std": [0.2] * 3,
        "method": "supervised", "policy": "samix", "mixer": options, "standardise": False,
    }  # fmt: skip
    (path / "model.json").write_text(json.dumps(model))
    config = {**MAKE, "data": "demo", "policy": "samix", "device": "cpu"}
    (path / "config.yaml").write_text(yaml.safe_dump({"kind": "train", "config": config}))
    (path / "metrics.json").write_text('{"status": "finished"}')
    (path / "splits.csv").write_text("path,split,group\n")
    return path


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def refuse_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: Any, **__: Any) -> None:
        raise AssertionError("timm was asked")

    monkeypatch.setattr(timm, "create_model", asked)


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"model_kwargs": {"checkpoint_path": "x"}}, "'checkpoint_path' is not among the options"),
        ({"model_kwargs": {"pretrained_cfg": {"file": "x"}}}, "'pretrained_cfg' is not among"),
        ({"backbone": "hf_hub:a/b"}, "plain name of a timm model .*'hf_hub:a/b'"),
        ({"backbone": "local-dir:x"}, "plain name of a timm model"),
        ({"image_size": 10**9}, "image_size: expected 1 to 4096 px, got 1000000000"),
        ({"stem": ["small"]}, "stem: expected 'small'"),
        ({"mean": [0.5, "x", 0.5]}, "mean: expected three numbers"),
        ({"std": [0.5, 0, 0.5]}, "std: expected numbers above 0"),
        ({"classes": ["a", "a"]}, "classes: expected up to"),
        ({"classes": {"a": 1}}, "classes: expected a list of names"),
        ({"policy": 5}, "policy: expected a text"),
        ({"mixer": {"channels": 10**9, "tap": 2, "options": {}, "alpha": 1.0}}, "channels"),
        ({"mixer": [1]}, "mixer: expected alpha"),
    ],
    ids=str,
)
def test_what_a_description_may_not_hold_is_refused_by_every_reader(
    opener: str, values: dict[str, Any], reason: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_timm(monkeypatch)
    change(run / "model.json", **values)
    with pytest.raises(InputError, match=reason):
        OPENERS[opener](run)


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("text", ["[" * 50_000, '{"mean": NaN}', "[]", "null", ""])
def test_a_description_that_is_none_is_a_sentence(opener: str, text: str, run: Path) -> None:
    (run / "model.json").write_text(text)
    with pytest.raises(InputError, match=r"model\.json' cannot be read"):
        OPENERS[opener](run)


@pytest.mark.parametrize("opener", OPENERS)
def test_a_network_that_its_file_cannot_fill_is_not_made(opener: str, run: Path) -> None:
    if opener == "init":
        return  # the network is made from the options of the new run
    change(run / "model.json", model_kwargs={"layers": [1] * 4, "channels": [2**15] * 4})
    with pytest.raises(InputError, match="a network of more than"):
        OPENERS[opener](run)


def test_harmless_files_are_opened(run: Path) -> None:
    for name in ("evaluate", "predict", "init", "explain"):
        OPENERS[name](run)
    with pytest.raises(InputError, match="does not hold what a run writes"):
        mixer_of_run(run)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(run: Path) -> None:
    for name in ("model.json", "config.yaml"):
        kept = (run / name).read_text()
        (run / name).unlink()
        os.mkfifo(run / name)
        with pytest.raises(InputError):
            open_source(run, "--init")
        (run / name).unlink()
        (run / name).write_text(kept)
    open_source(run, "--init")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"model_kwargs": {"checkpoint_path": "x"}}, "'checkpoint_path' is not among the options"),
        ({"image_size": 10**9}, "image_size: expected 1 to 4096 px"),
        ({"devices": 10**6}, r"devices: expected a number in \[1, 1024\]"),
        ({"workers": 10**6}, r"workers: expected a number in \[0, 1024\]"),
        ({"epochs": "many"}, "epochs: expected a whole number, got 'many'"),
        ({"epochs": True}, "epochs: expected a whole number, got True"),
        ({"lr": "0.1"}, "lr: expected a number or nothing, got '0.1'"),
        ({"policy": ["samix"]}, "policy: expected a text"),
        ({"policy_options": [1]}, "policy_options: expected names and values"),
        ({"pretrained": 1}, "pretrained: expected true or false"),
        ({"wings": 2}, "unknown setting 'wings'"),
    ],
    ids=str,
)
def test_a_configuration_of_a_stranger_is_checked(
    values: dict[str, Any], reason: str, run: Path
) -> None:
    file = run / "config.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"].update(values)
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=reason):
        read_config(open_run(run))


@pytest.mark.parametrize("text", ["[" * 5000, "- 1", "config: !!python/name:os.sep ''", "a: [", ""])
def test_a_configuration_that_is_none_is_a_sentence(text: str, run: Path) -> None:
    (run / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=r"config\.yaml' cannot be read"):
        read_config(open_run(run))


def test_what_a_run_writes_can_be_read_by_others() -> None:
    """So a run refuses an option that its readers would refuse."""
    with pytest.raises(InputError, match="model_kwargs: 'checkpoint_path' is not among"):
        TrainConfig(data="demo", model_kwargs={"checkpoint_path": "x"})


def test_a_run_does_not_write_through_links(run: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "mine").mkdir()
    (run / "checkpoints").symlink_to(tmp_path / "mine")
    (run / "metrics.json").unlink()
    assert main(["train", "--resume", "--output", str(run)]) == 2
    assert "lies outside of" in capsys.readouterr().err
    assert not list((tmp_path / "mine").iterdir())


@pytest.fixture
def mixer(tmp_path: Path) -> Path:
    return Path(shutil.copytree(built_in_mixers()["demo"], tmp_path / "mixer"))


@pytest.mark.parametrize(
    "load", [PretrainedMixer.from_pretrained, open_mixer], ids=["class", "name"]
)
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"model_kwargs": {"checkpoint_path": "x"}}, "'checkpoint_path' is not among the options"),
        ({"backbone": "local-dir:x"}, "plain name of a timm model"),
        ({"backbone": ["resnet18"]}, "plain name of a timm model"),
        ({"image_size": 10**9}, "image_size: expected 1 to 4096 px"),
    ],
    ids=str,
)
def test_a_mixer_of_a_stranger_is_refused_before_timm_is_asked(
    load: Any, values: dict[str, Any], reason: str, mixer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_timm(monkeypatch)
    encoder = json.loads((mixer / "config.json").read_text())["encoder"]
    change(mixer / "config.json", encoder={**encoder, **values})
    with pytest.raises(ValueError, match=f"is no Mixer of samix: .*{reason}"):
        load(str(mixer))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"resolution": 10**6}, "resolution: expected a whole number up to 1024"),
        ({"channels": 10**9}, "channels: expected a whole number"),
        ({"tap": 10**9}, "tap: expected a whole number"),
        ({"tap": 500}, "cannot be built as described"),
        ({"mixer": {"start": "x"}}, "start: expected one of"),
        ({"record": {"life": {"a": "x"}}}, "life: 'a': expected a number"),
        ({"record": {"made_with": 3}}, "made_with: expected names and values"),
    ],
    ids=str,
)
def test_a_description_of_a_mixer_that_cannot_be_is_a_sentence(
    values: dict[str, Any], reason: str, mixer: Path, capsys: Any
) -> None:
    content = json.loads((mixer / "config.json").read_text())
    record = {**content["record"], **values.get("record", {})}
    change(mixer / "config.json", **{**values, "record": record})
    with pytest.raises(ValueError, match=reason):
        open_mixer(mixer)
    assert main(["mixer", "inspect", str(mixer)]) == 2
    assert main(["mixer", "list", str(mixer.parent)]) == 0
    capsys.readouterr()


def test_a_mixer_whose_file_is_nested_too_deep_is_none(mixer: Path) -> None:
    (mixer / "config.json").write_text("[" * 50_000)
    for load in (open_mixer, PretrainedMixer.from_pretrained):
        with pytest.raises(ValueError, match=r"no pre-trained Mixer|is no Mixer"):
            load(str(mixer))


def test_weights_are_looked_at_before_the_network_is_made(
    mixer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_timm(monkeypatch)
    with (mixer / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match="its checksum is not that"):
        open_mixer(mixer)
