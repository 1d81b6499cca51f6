from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from samix import create_method
from samix.errors import InputError
from samix.explain import open_network, open_photos
from samix.networks import pretrained_mixer
from samix.training import PretrainConfig, TrainConfig, read_config, resume, train
from samix.training.prepare import prepare, resolve
from samix.training.run_folder import RunFolder
from samix.training.warm_start import adopt

Make = Callable[..., TrainConfig]


def ready(config: TrainConfig):
    return prepare(resolve(adopt(config)))


def test_encoder_and_average_start_from_the_run_and_the_classifier_is_fresh(
    tiny: Make, pretrained: Path
) -> None:
    method = ready(tiny(init=str(pretrained), seed=5)).method
    fresh = ready(tiny(seed=5)).method
    theirs = load_file(pretrained / "model.safetensors")
    own, other = method.encoder.state_dict(), fresh.encoder.state_dict()
    assert set(own) - set(theirs) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(own[name], value) for name, value in theirs.items())
    assert torch.equal(own["fc.weight"], other["fc.weight"])
    average = method.average.module.state_dict()
    assert all(torch.equal(average[name], value) for name, value in own.items())


def test_a_supervised_run_is_a_start_too(tiny: Make, tmp_path: Path) -> None:
    first = {"epochs": 1, "labels_per_class": 2, "batch_size": 12}
    run = train(tiny(**first, output=str(tmp_path / "first"))).run.path
    config = tiny(init=str(run), policy=str(run), policy_options={"alpha": 1.0})
    prepared = ready(config)
    assert len(prepared.splits.train) == 72  # not only those whose labels were used before
    theirs = load_file(run / "model.safetensors")
    own = prepared.method.encoder.state_dict()
    assert torch.equal(own["conv1.weight"], theirs["conv1.weight"])
    assert not torch.equal(own["fc.weight"], theirs["fc.weight"])
    assert prepared.config.policy_options["alpha"] == 1.0


def test_mixer_with_its_options_comes_from_the_run(tiny: Make, pretrained: Path) -> None:
    prepared = ready(tiny(policy=str(pretrained)))
    config, policy = prepared.config, prepared.method.policy
    assert (config.policy, config.mixer_from) == ("samix", str(pretrained))
    assert policy.alpha == 1.5
    described = json.loads((pretrained / "model.json").read_text())
    assert config.tap == described["mixer"]["tap"] == prepared.method.tap.index
    for name, value in load_file(pretrained / "mixer.safetensors").items():
        assert torch.equal(policy.mixer.state_dict()[name], value)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_mixer_stays_as_it_is(
    tiny: Make, pretrained: Path, tmp_path: Path, frozen: bool
) -> None:
    config = tiny(init=str(pretrained), policy=str(pretrained), epochs=1, freeze_mixer=frozen)
    run = train(config).run
    before, after = (load_file(path / "mixer.safetensors") for path in (pretrained, run.path))
    kept = all(torch.equal(after[name], value) for name, value in before.items())
    assert kept == frozen
    assert json.loads(run.metrics.read_text())["mixer"] is not None
    first = load_file(pretrained / "model.safetensors")["conv1.weight"]
    assert not torch.equal(load_file(run.path / "model.safetensors")["conv1.weight"], first)


def test_the_split_of_the_run_is_used_so_that_the_test_stays_unseen(
    tiny: Make, pretrained: Path
) -> None:
    def parts(path: Path) -> dict[str, str]:
        return {row["path"]: row["split"] for row in csv.DictReader(path.open())}

    config = tiny(init=str(pretrained), seed=7, epochs=1, labels_per_class=4, batch_size=12)
    result = train(config)
    before, after = parts(pretrained / "splits.csv"), parts(result.run.splits)
    for side in ("val", "test"):
        assert {k for k, v in after.items() if v == side} == {
            k for k, v in before.items() if v == side
        }
    assert any("The split is that of" in note for note in result.metrics["notes"])
    with pytest.raises(InputError, match="group_by"):
        ready(tiny(init=str(pretrained), group_by=r"part(\d)"))


def test_other_photos_are_compared_by_their_paths(tiny: Make, pretrained: Path) -> None:
    other = ready(tiny(init=str(pretrained), data="demo:photos_per_class=24,size=16"))
    assert any("No test photo was learned from" in note for note in other.notes)


def test_photos_that_a_run_before_it_learned_from_are_counted(tiny: Make, tmp_path: Path) -> None:
    kind = {"epochs": 1, "policy": "none"}
    first = train(tiny(**kind, final=True, output=str(tmp_path / "first"))).run.path
    second = train(tiny(**kind, init=str(first), seed=1, output=str(tmp_path / "second"))).run.path
    parts = [list(csv.DictReader((run / "splits.csv").open())) for run in (first, second)]
    learned = {row["path"] for row in parts[0] if row["split"] == "train"}
    tested = {row["path"] for row in parts[1] if row["split"] == "test"}
    said = " ".join(ready(tiny(init=str(second))).notes)
    assert f"{len(learned & tested)} of {len(tested)} test photos were learned from" in said
    assert "or a run that it began from" in said
    assert "so that no test photo" not in said
    held = {row["path"] for row in parts[1] if row["split"] != "train"}
    told = [note.en for note in open_photos(*open_network(second)).notes]
    assert any(f"learned from {len(learned & held)} of the photos" in note for note in told)
    shutil.rmtree(first)
    told = [note.en for note in open_photos(*open_network(second)).notes]
    assert any(f"began from, {first}, is not there any more" in note for note in told)
    assert "is not there any more" in " ".join(ready(tiny(init=str(second))).notes)


def test_photos_that_were_learned_from_are_counted(
    tiny: Make, tiny_pretrain, tmp_path: Path
) -> None:
    from samix.data import write_demo
    from samix.data.demo import DemoOptions
    from samix.training import pretrain

    folder = tmp_path / "photos"
    write_demo(folder, DemoOptions(photos_per_class=12, size=16))
    run = pretrain(tiny_pretrain(data=str(folder), epochs=1, output=str(tmp_path / "pre"))).run
    for path in sorted(folder.rglob("dent/*"))[:2]:
        path.unlink()
    notes = ready(tiny(data=str(folder), init=str(run.path), seed=3)).notes
    assert any("test photos were learned from" in note for note in notes)


def test_what_contradicts_the_run_is_refused_by_name(
    tiny: Make, pretrained: Path, tmp_path: Path
) -> None:
    run = str(pretrained)
    wide = {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 16], "drop_path_rate": 0.2}
    plain = train(tiny(policy="none", epochs=1, output=str(tmp_path / "plain"))).run.path
    for changes, message in (
        ({"init": run, "backbone": "resnet34"}, "has backbone=resnet18, got resnet34"),
        ({"init": run, "model_kwargs": wide}, "has model_kwargs="),
        ({"init": run, "stem": None}, "has stem=small, got None"),
        ({"init": run, "image_size": 32}, "has image_size=16, got 32"),
        ({"init": str(tmp_path)}, "not a run folder"),
        ({"policy": str(plain)}, "has no Mixer: it mixed with 'none'"),
        ({"policy": run, "tap": 1}, "tap=1 contradicts"),
        ({"policy": run, "policy_options": {"mixer": {"value": "linear"}}}, "mixer.value linear"),
        ({"policy": run, "model_kwargs": {**wide, "channels": [8, 8, 16, 16]}}, "for 8 channels"),
        ({"policy": "samix", "freeze_mixer": True}, "freeze_mixer"),
    ):
        with pytest.raises(InputError, match=message):
            train(tiny(**changes))
    with pytest.raises(InputError, match="pretrained=True"):
        tiny(init=run, pretrained=True)
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_model_is_refused(tiny: Make, pretrained: Path, tmp_path: Path) -> None:
    shutil.copytree(pretrained, tmp_path / "copy")
    (tmp_path / "copy" / "model.json").unlink()
    with pytest.raises(InputError, match="not finished"):
        train(tiny(init=str(tmp_path / "copy")))


def test_a_run_goes_on_when_its_start_is_gone(tiny: Make, pretrained: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(pretrained, source)
    options = {"init": str(source), "policy": str(source), "epochs": 2}
    whole = train(tiny(**options, output=str(tmp_path / "whole")))
    run = RunFolder(tmp_path / "whole")
    assert read_config(run).init == str(source)
    shutil.rmtree(source)
    before = torch.load(run.last, weights_only=True)["state_dict"]
    run.metrics.unlink()
    again = resume(run.path).metrics
    assert again["test"] == whole.metrics["test"]
    assert again["notes"] == whole.metrics["notes"]
    after = torch.load(run.last, weights_only=True)["state_dict"]
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_learning_is_slower_from_trained_weights(tiny: Make, pretrained: Path) -> None:
    assert resolve(tiny(lr=None, init=str(pretrained))).lr == pytest.approx(0.01)


def test_a_pre_trained_mixer_is_a_policy_of_a_run(
    tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a relative path, with a folder name of its own, and resumed as finished."""
    torch.manual_seed(0)
    make = {"backbone": "resnet18", "stem": "small"}
    make["model_kwargs"] = {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}
    method = create_method("supervised", num_classes=2, policy="samix", **make)
    mixer = pretrained_mixer(
        method.average.module, method.policy.mixer, method.tap, make=make, resolution=16
    )
    monkeypatch.chdir(tmp_path)
    mixer.save_pretrained("my-mixer")
    result = train(tiny(policy="my-mixer", policy_options={"alpha": 1.0}, epochs=1, output=None))
    assert result.run.path.name.endswith("-my-mixer")
    assert read_config(result.run).policy == str(tmp_path / "my-mixer")
    assert result.metrics["mixer"] is None
    assert (result.run.path / "mixes.png").is_file()
    assert resume(result.run.path).status == "finished"


def test_weights_of_a_file_are_the_start_of_network_and_average(tiny: Make, tmp_path: Path) -> None:
    trained = ready(tiny(seed=9)).method.encoder
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "w.pth")
    prepared = ready(tiny(weights=str(tmp_path / "w.pth"), lr=None))
    own = prepared.method.encoder.state_dict()
    assert all(torch.equal(own[name], value) for name, value in trained.state_dict().items())
    average = prepared.method.average.module.state_dict()
    assert all(torch.equal(average[name], value) for name, value in own.items())
    assert prepared.config.lr == pytest.approx(0.01)
    assert prepared.notes[0].endswith(f"tensors of '{tmp_path / 'w.pth'}'.")


def test_weights_of_an_encoder_are_the_start_of_self_supervised_learning(
    tiny_pretrain: Callable[..., PretrainConfig], pretrained: Path
) -> None:
    file = pretrained / "model.safetensors"
    method = ready(tiny_pretrain(weights=str(file), seed=7)).method
    for network in (method.network, method.average.module):
        own = network.backbone.state_dict()
        assert all(torch.equal(own[name], value) for name, value in load_file(file).items())


@pytest.mark.parametrize("other", ["pretrained", "init"])
def test_weights_come_from_one_place(tiny: Make, other: str) -> None:
    with pytest.raises(InputError, match="both say where the weights come from"):
        tiny(weights="resnet18", **{other: "run" if other == "init" else True})


def test_weights_of_another_network_stop_the_run(tiny: Make, tmp_path: Path) -> None:
    torch.save(torch.nn.Conv2d(3, 8, 3).state_dict(), tmp_path / "w.pth")
    with pytest.raises(InputError, match="is of another network"):
        ready(tiny(weights=str(tmp_path / "w.pth")))
    with pytest.raises(InputError, match="are for backbone 'resnet50', got backbone 'resnet18'"):
        ready(tiny(weights="resnet50"))
