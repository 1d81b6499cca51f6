from __future__ import annotations

from dataclasses import replace

import pytest

from samix.errors import InputError
from samix.options import from_plain
from samix.training import TrainConfig
from samix.training.machine import emulation_notes
from samix.training.prepare import resolve


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0), ("epochs", -3), ("batch_size", 0), ("image_size", -1), ("devices", 0),
        ("nodes", 0), ("accumulate", 0), ("labels_per_class", 0), ("seed", -1), ("workers", -1),
        ("lr", 0.0), ("lr", -0.1), ("lr", float("nan")), ("lr", float("inf")), ("mixer_lr", 0.0),
        ("clip", -1.0), ("eta", -0.1), ("weight_decay", float("nan")), ("label_smoothing", 1.0),
        ("warmup", 1.0), ("final_lr", 1.1), ("label_fraction", 0.0), ("val_fraction", 1.0),
        ("validate_every", 0), ("mix_epochs", -1.0), ("pairing", "rare"), ("label", "depth"),
        ("decoupled", -0.5),
        ("optimizer", "adam"), ("precision", "64"), ("augmentation", "heavy"), ("stem", "big"),
    ],
)  # fmt: skip
def test_refuses_values_outside_their_range_and_names_them(setting, value):
    with pytest.raises(InputError, match=setting) as caught:
        TrainConfig(data="demo", **{setting: value})
    assert str(value) in str(caught.value)


def test_resolves_rates_by_optimizer_and_pretraining():
    sgd = resolve(TrainConfig(data="demo", device="cpu"))
    adamw = resolve(TrainConfig(data="demo", device="cpu", optimizer="adamw"))
    tuned = resolve(TrainConfig(data="demo", device="cpu", pretrained=True))
    assert (sgd.lr, sgd.mixer_lr, sgd.weight_decay) == (0.1, 0.1, 5e-4)
    assert (adamw.lr, adamw.weight_decay) == (1e-3, 0.05)
    assert tuned.lr == pytest.approx(0.01)
    assert resolve(TrainConfig(data="demo", device="cpu", lr=0.3, mixer_lr=0.2)).mixer_lr == 0.2


@pytest.mark.parametrize(
    "changes",
    [{"device": "abacus"}, {"device": "cuda:99"}, {"device": "cpu", "precision": "16"}],
)
def test_refuses_a_device_that_is_not_there_or_cannot(changes):
    with pytest.raises(InputError, match=r"cpu|CPU"):
        resolve(TrainConfig(data="demo", **changes))


@pytest.mark.parametrize(("capable", "wanted"), [(True, "bf16"), (False, "32")])
def test_auto_precision_follows_the_processor(monkeypatch, capable, wanted):
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: capable)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
    config = TrainConfig(data="demo", device="cpu")  # auto
    assert resolve(config).precision == wanted
    assert resolve(TrainConfig(data="demo", device="cpu", precision="32")).precision == "32"
    for depthwise in ("tf_efficientnet_lite0", "lcnet_035"):  # slower in bfloat16 on any CPU
        assert resolve(replace(config, backbone=depthwise)).precision == "32"
    assert resolve(replace(config, policy="frozen")).precision == "32"  # as it will be used
    whole = {"layers": [1, 1, 1, 1]}
    assert resolve(replace(config, backbone="resnet18", model_kwargs=whole)).precision == wanted
    assert resolve(replace(config, backbone="no_such_network")).precision == wanted
    asked = resolve(TrainConfig(data="demo", device="cpu", precision="bf16"))
    notes = emulation_notes(asked.precision, asked.device)
    assert any("emulates" in note for note in notes) is not capable
    resolved = resolve(config)
    assert emulation_notes(resolved.precision, resolved.device) == ()


def test_goes_through_a_file_and_back():
    config = TrainConfig(data="demo", model_kwargs={"layers": [1, 1, 1, 1]}, lr=0.2)
    assert from_plain(config.to_dict(), TrainConfig) == config
    with pytest.raises(InputError, match="learning_rate"):
        from_plain({"data": "demo", "learning_rate": 0.1}, TrainConfig)
