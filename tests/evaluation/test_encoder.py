from __future__ import annotations

import json
import shutil
from argparse import Namespace

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from samix.errors import InputError
from samix.evaluation.encoder import open_encoder
from samix.networks import MomentumEncoder, weights
from samix.policies import create_policy
from samix.training.run_folder import write_model

from .conftest import MAKE, tiny_model


class Method:
    """What write_model asks of a method."""

    tap = None
    policy = create_policy("mixup")

    def __init__(self, classes: int) -> None:
        self.model = tiny_model(classes)
        self.average = MomentumEncoder(tiny_model(classes))

    def export(self, *, average=False):
        return self.average.module if average else self.model


def run_folder(path, classes=("a", "b")):
    path.mkdir()
    method = Method(len(classes or ()))
    config = Namespace(**MAKE, policy="mixup")
    write_model(path, method, config, classes=classes, mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3))
    return method


def embedding_of(model, images):
    model.reset_classifier(0)
    with torch.no_grad():
        return model.eval()(images)


IMAGES = torch.randn(3, 3, 16, 16)


@pytest.mark.parametrize("classes", [("a", "b"), None])
@pytest.mark.parametrize("average", [False, True])
def test_a_run_opens_as_what_it_exported(tmp_path, classes, average):
    method = run_folder(tmp_path / "run", classes)
    encoder = open_encoder(tmp_path / "run", average=average)
    assert (encoder.name, encoder.image_size, encoder.dimension) == ("run", 16, 8)
    assert (encoder.mean, encoder.std) == ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))
    assert encoder.splits is None
    assert encoder.description["average"] is average
    assert json.dumps(dict(encoder.description))
    with torch.no_grad():
        wanted = embedding_of(method.export(average=average), IMAGES)
        assert encoder.network(IMAGES).equal(wanted)
    (tmp_path / "run" / "splits.csv").touch()
    assert open_encoder(tmp_path / "run").splits == tmp_path / "run" / "splits.csv"


def wrapped(state, how):
    return {
        "plain": state,
        "state_dict": {"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3},
        "model": {"model": state, "optimizer": {"lr": 0.1}},
        "headless": {k: v for k, v in state.items() if not k.startswith("fc.")},
        "other head": {**state, "fc.weight": torch.zeros(1000, 8), "fc.bias": torch.zeros(1000)},
    }[how]


@pytest.mark.parametrize("how", ["plain", "state_dict", "model", "headless", "other head"])
@pytest.mark.parametrize("name", ["weights.pth", "weights.pth.tar", "weights.pt"])
def test_checkpoint_files_open_whatever_is_around_them(tmp_path, how, name):
    model = tiny_model()
    torch.save(wrapped(model.state_dict(), how), tmp_path / name)
    encoder = open_encoder(tmp_path / name, **MAKE)
    with torch.no_grad():
        assert encoder.network(IMAGES).equal(embedding_of(model, IMAGES))
    assert encoder.mean == (0.485, 0.456, 0.406)


def test_safetensors_and_image_size_by_default(checkpoint):
    encoder = open_encoder(checkpoint, **{**MAKE, "image_size": None})
    assert encoder.image_size == 32  # of a small stem
    assert encoder.name == "weights.safetensors"


def test_random_networks_are_of_the_same_make_and_follow_the_seed(checkpoint):
    encoder = open_encoder(checkpoint, **MAKE)
    state = torch.get_rng_state()
    one, same, other = (encoder.make_random(seed) for seed in (1, 1, 2))
    assert torch.get_rng_state().equal(state)
    with torch.no_grad():
        assert one(IMAGES).equal(same(IMAGES))
        assert not one(IMAGES).equal(other(IMAGES))
        assert not one(IMAGES).equal(encoder.network(IMAGES))
    assert one(IMAGES).shape == (3, encoder.dimension)


def refused(source, **options):
    with pytest.raises(InputError) as caught:
        open_encoder(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_does_not_fit_is_named(checkpoint, tmp_path):
    state = load_file(checkpoint)
    del state["conv1.weight"]
    save_file({**state, "extra.weight": torch.ones(2)}, tmp_path / "other.safetensors")
    said = refused(tmp_path / "other.safetensors", **MAKE)
    assert " tensors do not fit, such as conv1.weight: missing in the weights" in said
    assert "network: 1 of " in said
    assert "4 x 3 x 3 x 3" in refused(checkpoint, **{**MAKE, "stem": None})
    assert "backbone: expected" in refused(checkpoint)
    assert "resnet18" in refused(checkpoint, **{**MAKE, "backbone": "resnet81"})
    assert "wings" in refused(checkpoint, **{**MAKE, "model_kwargs": {"wings": 2}})


def test_files_that_are_no_weights_are_refused(tmp_path):
    (tmp_path / "broken.pth").write_bytes(b"nothing at all")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing at all")
    (tmp_path / "notes.txt").write_text("x")
    torch.save({"args": Namespace(lr=1)}, tmp_path / "code.pth")
    torch.save({"state_dict": {}}, tmp_path / "empty.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("broken.pth", "broken.safetensors", "code.pth", "empty.pth", "list.pth"):
        assert name in refused(tmp_path / name, **MAKE)
    assert "run code" in refused(tmp_path / "code.pth", **MAKE)
    assert ".safetensors" in refused(tmp_path / "notes.txt", **MAKE)
    assert "no checkpoint file" in refused(tmp_path / "missing.pth", **MAKE)


def test_folders_that_are_no_finished_run_are_refused(tmp_path):
    run_folder(tmp_path / "run")
    assert "not a run folder" in refused(tmp_path)
    (tmp_path / "config.yaml").touch()
    assert "not finished" in refused(tmp_path)
    assert "stem: expected" in refused(tmp_path / "run", stem="small")
    (tmp_path / "run" / "model_average.safetensors").unlink()
    assert "average=True" in refused(tmp_path / "run", average=True)
    shutil.copy(tmp_path / "run" / "model.safetensors", tmp_path / "run" / "x.safetensors")
    assert "give the run folder" in refused(tmp_path / "run" / "x.safetensors")
    (tmp_path / "run" / "model.json").write_text('{"backbone": "resnet18"}')
    assert "cannot be read" in refused(tmp_path / "run")


def test_names_of_timm(monkeypatch):
    assert "'resnet18'" in refused("resnet81")
    assert "'resnet18." in refused("resnet18.zz9")
    assert "stem: expected" in refused("resnet18.a1_in1k", stem="small")
    assert "average=True" in refused("resnet18.a1_in1k", average=True)

    def offline(*_, **__):
        raise OSError("no route to host. Try again.\nmore")

    monkeypatch.setattr(weights, "_may_be_fetched", lambda _: True)
    monkeypatch.setattr(timm, "create_model", offline)
    said = refused("resnet18.a1_in1k")
    assert "weights: 'resnet18.a1_in1k' cannot be fetched (no route to host)" in said


def test_published_weights_are_asked_for_without_classifier(monkeypatch):
    create, asked = timm.create_model, {}

    def fetched(name, *, pretrained=False, **kwargs):
        asked.update(kwargs, name=name, pretrained=pretrained)
        return create(name, **kwargs)

    monkeypatch.setattr(weights, "_may_be_fetched", lambda _: True)
    monkeypatch.setattr(timm, "create_model", fetched)
    encoder = open_encoder("test_resnet.r160_in1k")
    assert asked == {"name": "test_resnet.r160_in1k", "pretrained": True, "num_classes": 0}
    assert encoder.image_size == 160
    assert encoder.mean in ((0.5, 0.5, 0.5), (0.485, 0.456, 0.406))
    encoder.make_random(0)
    assert asked["pretrained"] is False


def test_a_size_that_the_network_cannot_use_is_refused(tmp_path):
    model = timm.create_model("vit_tiny_patch16_224", depth=1, embed_dim=24, num_classes=0)
    save_file(model.state_dict(), tmp_path / "vit.safetensors")
    options = {"backbone": "vit_tiny_patch16_224", "model_kwargs": {"depth": 1, "embed_dim": 24}}
    assert open_encoder(tmp_path / "vit.safetensors", **options).image_size == 224
    assert "image_size" in refused(tmp_path / "vit.safetensors", **options, image_size=8)
