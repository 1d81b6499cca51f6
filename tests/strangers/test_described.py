"""What a file may say about a network: nothing that loads files, asks the network or runs code."""

from typing import Any

import pytest
import timm
import torch
from torch import nn

from samix.networks.described import (
    MOST_PIXELS,
    OPTIONS,
    check_model_name,
    check_model_options,
    create_described,
    described_mixer,
)


@pytest.fixture
def no_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where timm is asked for anything."""

    def asked(*_: Any, **__: Any) -> None:
        raise AssertionError("timm was asked")

    for name in ("create_model", "is_model", "list_models"):
        monkeypatch.setattr(timm, name, asked)


@pytest.mark.usefixtures("no_timm")
@pytest.mark.parametrize(
    "name",
    ["hf_hub:a/b", "hf-hub:a/b", "local-dir:folder", "a/b", "../resnet18", "resnet18:x", "", " ",
     "resnet18.a/b", "resnet18.a.b", "http://a.b/c", "resnet18\n", 5, None, ["resnet18"], "r" * 99],
    ids=repr,
)  # fmt: skip
def test_a_name_that_is_no_plain_one_is_refused_before_timm_is_asked(name: object) -> None:
    with pytest.raises(ValueError, match="the plain name of a timm model"):
        create_described({"backbone": name, "model_kwargs": {}}, num_classes=2)


@pytest.mark.usefixtures("no_timm")
@pytest.mark.parametrize(
    "option",
    ["checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir",
     "pretrained_strict", "pretrained_custom_load", "pretrained_filter_fn", "features_only",
     "feature_cfg", "feature_cls", "out_indices", "scriptable", "exportable", "no_jit", "block",
     "block_fn", "mlp_layer", "model_cfg", "num_classes", "in_chans", "device", "Layers", "",
     "pruned", "kwargs_filter", "hybrid_backbone", "dtype", 3],
    ids=repr,
)  # fmt: skip
def test_an_option_that_is_not_known_to_be_harmless_is_refused_by_name(option: Any) -> None:
    with pytest.raises(ValueError, match="is not among the options") as caught:
        create_described({"backbone": "resnet18", "model_kwargs": {option: "x"}}, num_classes=2)
    assert repr(option) in str(caught.value)


def test_no_option_of_the_factory_is_among_those_that_are_taken() -> None:
    """What timm's factory itself understands is about files, hubs and code."""
    import inspect

    from timm.models import build_model_with_cfg

    for call in (timm.create_model, build_model_with_cfg):
        assert not set(inspect.signature(call).parameters) & set(OPTIONS)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"layers": "deep"}, "layers: expected 0 to 1000"),
        ({"layers": [10**6]}, "layers: expected 0 to 1000"),
        ({"layers": [1] * 65}, "a list of at most 64"),
        ({"layers": [[[1]]]}, "layers: expected"),
        ({"channels": [2**18]}, "channels: expected 0 to 131072"),
        ({"channels": {"a": 1}}, "channels: expected"),
        ({"embed_dim": True}, "embed_dim: expected"),
        ({"depth": float("nan")}, "depth: expected"),
        ({"depth": -1}, "depth: expected"),
        ({"img_size": 10**5}, f"img_size: expected 0 to {MOST_PIXELS}"),
        ({"drop_path_rate": "0.1"}, "drop_path_rate: expected a number"),
        ({"qkv_bias": "yes"}, "qkv_bias: expected true or false"),
        ({"norm_layer": "os.system"}, "norm_layer: expected one of batchnorm"),
        ({"norm_layer": nn.BatchNorm2d}, "norm_layer: expected one of batchnorm"),
        ([1], "model_kwargs: expected names and values"),
    ],
    ids=str,
)
def test_a_value_of_another_kind_or_size_is_refused(options: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_model_options(options)


def test_a_network_that_its_weights_cannot_fill_is_refused_before_it_is_made(tmp_path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"x" * 1000)
    wide = {"layers": [100] * 4, "channels": [2**15] * 4}
    with pytest.raises(ValueError, match="a network of more than 67,112,864 numbers is described"):
        create_described({"backbone": "resnet18", "model_kwargs": wide}, num_classes=2,
                         weights=weights)  # fmt: skip
    with pytest.raises(ValueError, match="a network of more than"):
        described_mixer(2**17, {}, weights)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        ({"model_kwargs": {"depths": [1]}}, "cannot be built as described .*depths"),
        ({"image_size": 0}, "image_size: expected 1 to 4096 px, got 0"),
        ({"image_size": 10**9}, "image_size: expected 1 to 4096 px"),
        ({"stem": "large"}, "stem: expected 'small' or None"),
        ({"backbone": "resnet81"}, "the nearest is"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_a_sentence(make: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        create_described({"backbone": "resnet18", **make}, num_classes=2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18.a1_in1k", {"layers": (1, 1, 1, 1), "channels": [8, 8, 8, 8], "stem_width": 8,
                              "stem_type": "deep", "norm_layer": "batchnorm2d"}),
        ("convnext_atto", {"depths": [1, 1, 1, 1], "dims": [8, 8, 16, 16], "conv_mlp": True}),
        ("vit_tiny_patch16_224", {"embed_dim": 24, "depth": 1, "num_heads": 2, "init_values": None,
                                  "img_size": 64, "class_token": False, "global_pool": "avg"}),
        ("swin_tiny_patch4_window7_224", {"embed_dim": 12, "depths": (1, 1), "num_heads": (1, 2)}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_harmless_is_built_as_timm_does_and_draws_nothing(
    name: str, options: dict[str, Any]
) -> None:
    assert check_model_name(name) == name
    torch.manual_seed(7)
    wanted = timm.create_model(name, num_classes=3, **options)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    found = create_described({"backbone": name, "model_kwargs": options}, num_classes=3)
    assert torch.equal(torch.get_rng_state(), before)
    shapes = [{k: v.shape for k, v in one.state_dict().items()} for one in (wanted, found)]
    assert shapes[0] == shapes[1]
