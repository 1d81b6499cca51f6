from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from samix.errors import InputError
from samix.evaluation.encoder import open_encoder
from samix.networks import PretrainedMixer, standardised
from samix.training import PretrainConfig, TrainConfig, pretrain, resume, train
from samix.training.mixer_export import mixer_of_run, mixer_remarks
from samix.training.prepare import prepare, resolve

TINY_DEMO = "demo:photos_per_class=20,size=16"
MORE = "demo:photos_per_class=10,size=16,seed=4"
Make = Callable[..., TrainConfig]
MakePretrain = Callable[..., PretrainConfig]


def pairs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    first, second = torch.rand(2, 5, 3, 24, 20, generator=torch.Generator().manual_seed(1))
    return first, second, torch.linspace(0.1, 0.9, 5)


def test_the_mixer_of_a_self_supervised_run_with_the_average_that_it_read(pretrained: Path) -> None:
    mixer = mixer_of_run(pretrained, licence="mit")
    average = load_file(pretrained / "model_average.safetensors")
    own = mixer.encoder.state_dict()
    assert own
    assert all(torch.equal(value, average[name]) for name, value in own.items())
    assert len(own) < len(average)  # what comes after the tap is left out
    theirs = load_file(pretrained / "mixer.safetensors")
    assert all(torch.equal(v, theirs[k]) for k, v in mixer.mixer.state_dict().items())
    record = mixer.record
    assert record["data"] == [f"{TINY_DEMO}: 72 photos learned from, 24 held out, 24 set aside"]
    assert record["objective"] == "SAMix-I on MoCo v2: local + 0.5 * global term"
    assert record["labels"] == "none"
    assert record["length"] == "2 epochs, 6 steps of 24 photos"
    assert (record["alpha"], record["seeds"], record["licence"]) == (1.5, [0], "mit")
    assert set(record["made_with"]) == {"samix", "torch", "timm"}
    assert "normalised as a whole set" in mixer_remarks(mixer)[-1]
    assert mixer.resolution == 16


def test_saved_and_loaded_it_gives_the_masks_of_the_run(pretrained: Path, tmp_path: Path) -> None:
    mixer_of_run(pretrained).save_pretrained(tmp_path / "mixer")
    loaded = PretrainedMixer.from_pretrained(str(tmp_path / "mixer"))
    assert torch.equal(loaded(*pairs()), mixer_of_run(pretrained)(*pairs()))
    assert "licence" not in loaded.record


def test_the_mixer_of_a_supervised_run_without_its_classifier(tiny: Make) -> None:
    result = train(tiny(epochs=1))
    mixer = mixer_of_run(result.run.path)
    assert mixer.record["labels"] == "of all photos learned from (6 classes)"
    assert mixer.record["objective"] == "SAMix, supervised: local + 0.5 * global term"
    assert not any(name.startswith("fc") for name in mixer.encoder.state_dict())
    assert mixer(*pairs()).shape == (5, 1, 24, 20)


def test_what_is_no_finished_run_with_a_mixer_is_refused(
    pretrained: Path, tiny: Make, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="is not a run folder"):
        mixer_of_run(tmp_path)
    plain = train(tiny(policy="mixup", epochs=1)).run.path
    with pytest.raises(InputError, match="has no Mixer: it mixed with 'mixup'"):
        mixer_of_run(plain)
    stopped = shutil.copytree(pretrained, tmp_path / "stopped")
    metrics = json.loads((stopped / "metrics.json").read_text())
    (stopped / "metrics.json").write_text(json.dumps({**metrics, "status": "interrupted"}))
    with pytest.raises(InputError, match="finish it with: samix pretrain resume=True"):
        mixer_of_run(stopped)
    (stopped / "metrics.json").unlink()
    with pytest.raises(InputError, match=r"metrics\.json' cannot be read"):
        mixer_of_run(stopped)
    (stopped / "model.json").unlink()
    with pytest.raises(InputError, match="the run is not finished"):
        mixer_of_run(stopped)


def test_several_sets_standardised_one_by_one(tiny_pretrain: MakePretrain, tmp_path: Path) -> None:
    """What the encoder saw in training is what it sees later, and each set is split by itself."""
    config = tiny_pretrain(more_data=[MORE], standardise=True, epochs=2)
    result = pretrain(config)
    run = result.run.path
    mixer = mixer_of_run(run)
    assert mixer.record["data"] == [
        f"{TINY_DEMO}: 72 photos learned from, 24 held out, 24 set aside",
        f"{MORE}: 36 photos learned from, 12 held out, 12 set aside",
    ]
    assert not any("standardised" in remark for remark in mixer_remarks(mixer))
    assert result.metrics is not None
    assert result.metrics["knn"] is None
    assert json.loads((run / "model.json").read_text())["standardise"] is True
    # resuming reads the same photos in the same order
    shutil.rmtree(run / "tensorboard")
    (run / "metrics.json").unlink()
    weights = load_file(run / "model.safetensors")
    resume(run)
    assert all(torch.equal(v, weights[k]) for k, v in load_file(run / "model.safetensors").items())


def test_what_a_standardised_run_tells_those_who_use_it(
    tiny_pretrain: MakePretrain, tiny: Make, tmp_path: Path
) -> None:
    run = pretrain(tiny_pretrain(standardise=True, view_size=12, epochs=1)).run.path
    assert mixer_of_run(run).record["length"] == "1 epoch, 3 steps of 24 photos, views of 12 px"
    config = tiny(init=str(run), policy="none", epochs=1, output=str(tmp_path / "second"))
    result = train(config)
    assert result.metrics is not None
    assert any("standardised one by one" in note for note in result.metrics["notes"])
    # an evaluation looks at photos as the training did, also with random weights
    encoder = open_encoder(run)
    assert encoder.description["standardise"] is True
    batch = torch.rand(4, 3, 16, 16)
    for network in (encoder.network, encoder.make_random(0)):
        assert not network.training
        assert torch.allclose(network(batch), network(5 * batch - 2), atol=1e-4)


def test_standardised_training_does_not_depend_on_how_photos_are_normalised(
    tiny_pretrain: MakePretrain,
) -> None:
    task = prepare(resolve(tiny_pretrain(standardise=True))).task
    plain = prepare(resolve(tiny_pretrain())).task
    views = torch.rand(2, 24, 3, 16, 16)
    losses = [
        prepare(resolve(tiny_pretrain(standardise=True))).task.step((first, second)).loss
        for first, second in (views, 3 * views - 1)
    ]
    assert torch.allclose(losses[0], losses[1], atol=1e-4)
    assert not torch.allclose(losses[0], plain.step(tuple(views)).loss, atol=1e-4)
    # which is the way a pre-trained Mixer looks at images
    assert torch.equal(task._shown(views)[0], standardised(views[0]))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [([TINY_DEMO], "is given twice"), (["nowhere"], "no such folder or image set: 'nowhere'")],
)
def test_sets_that_cannot_be_joined(
    tiny_pretrain: MakePretrain, more: list[str], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        pretrain(tiny_pretrain(more_data=more))
