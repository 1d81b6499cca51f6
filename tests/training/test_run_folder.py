from __future__ import annotations

import json

import pytest
import timm
import torch
from safetensors.torch import load_file

import samix
from samix.networks import Mixer, MixerOptions
from samix.training import train
from samix.training.callbacks import load_method
from samix.training.prepare import prepare, resolve
from samix.training.run_folder import write_model


def rebuilt(path, weights="model.safetensors"):
    """A plain timm model, from what the run folder says and nothing else."""
    model = json.loads((path / "model.json").read_text())
    network = timm.create_model(
        model["backbone"], num_classes=model["num_classes"], **model["model_kwargs"]
    )
    if model["stem"] == "small":
        network = samix.small_stem(network, image_size=model["image_size"])
    network.load_state_dict(load_file(path / weights))
    return network.eval()


def test_exported_files_give_the_same_logits_in_a_plain_timm_model(tiny):
    config = tiny(epochs=2, policy_options={"mixer": {"value": "linear"}, "alpha": 1.5})
    run = train(config).run
    model = json.loads((run.path / "model.json").read_text())
    assert model["kind"] == "classifier"
    assert model["classes"] == list(samix.data.open_images("demo").classes)
    assert (model["method"], model["policy"], model["samix"]) == (
        "supervised", "samix", samix.__version__,
    )  # fmt: skip
    images = torch.randn(3, 3, 16, 16)
    prepared = prepare(resolve(config), run=run)
    method = load_method(run.best, prepared)
    assert model["mean"] == list(prepared.view.mean)
    assert model["std"] == list(prepared.view.std)
    with torch.no_grad():
        assert rebuilt(run.path)(images).equal(method.export()(images))
        average = method.export(average=True)
        assert rebuilt(run.path, "model_average.safetensors")(images).equal(average(images))
    mixer = Mixer(model["mixer"]["channels"], MixerOptions(**model["mixer"]["options"]))
    mixer.load_state_dict(load_file(run.path / "mixer.safetensors"))
    assert (model["mixer"]["tap"], model["mixer"]["alpha"]) == (method.tap.index, 1.5)


def test_a_policy_without_mixer_and_average_exports_the_model_alone(tiny):
    run = train(tiny(epochs=1, policy="mixup")).run
    assert not (run.path / "mixer.safetensors").exists()
    assert not (run.path / "model_average.safetensors").exists()
    assert "mixer" not in json.loads((run.path / "model.json").read_text())


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "convnext_atto"])
def test_an_embedding_network_of_any_kind_comes_back(tiny, tmp_path, name):
    small = {"vit_tiny_patch16_224": {"depth": 2, "embed_dim": 24}, "convnext_atto": {}}[name]
    kwargs = small or {"depths": (1, 1, 1, 1), "dims": (4, 8, 8, 8)}
    config = tiny(backbone=name, model_kwargs=kwargs, image_size=32, policy="none")
    method = samix.create_method(
        "supervised", backbone=name, num_classes=0, model_kwargs=kwargs, stem="small",
        image_size=32, policy="none",
    )  # fmt: skip
    write_model(
        tmp_path, method, config, classes=None, mean=(0.1, 0.2, 0.3), std=(1, 2, 3), name="moco"
    )
    model = json.loads((tmp_path / "model.json").read_text())
    assert (model["kind"], model["num_classes"], model["classes"]) == ("embedding", 0, None)
    assert (model["mean"], model["std"], model["method"]) == (
        [0.1, 0.2, 0.3], [1.0, 2.0, 3.0], "moco",
    )  # fmt: skip
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert rebuilt(tmp_path)(images).equal(method.export()(images))
