from __future__ import annotations

import json
import shutil
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samix import MixerOptions, PretrainedMixer, create_method, create_policy
from samix.mixing import step_generator
from samix.networks import Tap, is_pretrained_mixer, pretrained_mixer, tap_features

NETWORK: dict[str, Any] = {
    "backbone": "resnet18",
    "stem": "small",
    "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)},
}


def make(**record: Any) -> PretrainedMixer:
    torch.manual_seed(0)
    method = create_method("moco", queue_size=16, **NETWORK)
    for parameter in method.policy.parameters():
        parameter.data.mul_(3)
    encoder = method.average_encoder()
    assert encoder is not None
    return pretrained_mixer(
        encoder, method.policy.mixer, method.tap, make=NETWORK, resolution=16, record=record
    )


def images(count: int = 4, size: int = 24) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(data="noise", alpha=0.7).save_pretrained(tmp_path / "mixer")
    return tmp_path / "mixer"


def test_it_is_the_encoder_up_to_the_tap_and_the_mixer() -> None:
    torch.manual_seed(0)
    method = create_method("moco", queue_size=16, **NETWORK)
    encoder, tap = method.average_encoder(), method.tap
    assert encoder is not None
    assert tap is not None
    frozen = pretrained_mixer(encoder, method.policy.mixer, tap, make=NETWORK, resolution=16)
    batch = images(size=16)
    mean, deviation = (
        batch.mean((2, 3), keepdim=True),
        batch.std((2, 3), keepdim=True, correction=0),
    )
    features = tap_features(encoder, (batch - mean) / deviation, tap)
    assert torch.allclose(frozen.features(batch), features, atol=1e-4)
    assert sum(p.numel() for p in frozen.encoder.parameters()) < sum(
        p.numel() for p in encoder.parameters()
    )
    lam = torch.tensor([0.2, 0.4, 0.6, 0.8])
    wanted = method.policy.mixer(features, features.flip(0), lam, (16, 16))
    assert torch.allclose(frozen(batch, batch.flip(0), lam), wanted, atol=1e-4)


def test_nothing_of_it_is_trained() -> None:
    frozen = make().train()
    assert not frozen.encoder.training
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def test_masks_do_not_depend_on_the_users_normalisation() -> None:
    frozen, batch = make(), images()
    lam = torch.tensor([0.2, 0.4, 0.6, 0.8])
    scale, shift = torch.tensor([4.4, 0.3, 2.0]), torch.tensor([-2.0, 1.0, 0.5])
    changed = batch * scale.view(1, 3, 1, 1) + shift.view(1, 3, 1, 1)
    first = frozen(batch, batch.flip(0), lam)
    assert torch.allclose(first, frozen(changed, changed.flip(0), lam), atol=1e-4)
    assert first.flatten(1).std(1).min() > 1e-3


def test_saved_and_loaded_it_is_the_same(folder: Path) -> None:
    loaded = PretrainedMixer.from_pretrained(str(folder))
    batch, lam = images(), torch.tensor([0.2, 0.4, 0.6, 0.8])
    assert torch.equal(loaded(batch, batch.flip(0), lam), make()(batch, batch.flip(0), lam))
    assert loaded.record["data"] == "noise"
    assert is_pretrained_mixer(folder)
    assert not is_pretrained_mixer(folder.parent)
    assert not list(folder.glob("*.bin"))


def test_the_card_says_how_it_was_trained(tmp_path: Path) -> None:
    record = {
        "data": ["photos of the line: 90 photos learned from"],
        "labels": "none",
        "objective": "SAMix-I on MoCo v2",
        "length": "3 epochs",
        "seeds": [4, 5],
        "licence": "CC-BY-4.0",
        "life": {"mask_deviation": 0.2},
        "remarks": ["A remark."],
    }
    make(**record).save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "license: cc-by-4.0" in card
    for fact in (
        "photos of the line: 90", "SAMix-I", "3 epochs", "4; 5", "CC-BY-4.0", "A remark.", "0.20",
        "resnet18, small stem", "8 channels", "16 x 16 px", "8 to 4", "create_policy", "none",
        torch.__version__, date.today().isoformat()[:4], "three pairs",
    ):  # fmt: skip
        assert fact in card, fact
    # what nobody stated is not made up
    make().save_pretrained(tmp_path / "other")
    card = (tmp_path / "other" / "README.md").read_text()
    assert "license: other" in card
    assert "| Licence | not stated |" in card


def test_it_goes_to_the_hub_and_comes_from_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a hub that is a folder: what is uploaded is what is fetched."""
    hub = tmp_path / "hub"

    class Api:
        def __init__(self, token: object) -> None: ...

        def create_repo(self, repo_id: str, **given: object) -> SimpleNamespace:
            return SimpleNamespace(repo_id=repo_id)

        def upload_folder(self, *, repo_id: str, folder_path: Path, **given: object) -> str:
            shutil.copytree(folder_path, hub / repo_id)
            return repo_id

    def fetch(repo_id: str, filename: str, **given: object) -> str:
        return str(hub / repo_id / filename)

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", fetch)
    module = sys.modules["samix.networks.frozen_mixer"]
    monkeypatch.setattr(module, "hf_hub_download", fetch)
    frozen = PretrainedMixer.from_pretrained(str(folder))
    frozen.push_to_hub("owner/name")
    assert {path.name for path in (hub / "owner" / "name").iterdir()} == {
        "README.md", "config.json", "model.safetensors"
    }  # fmt: skip
    policy = create_policy("owner/name")
    batch, lam = images(), torch.tensor([0.2, 0.4, 0.6, 0.8])
    fetched: PretrainedMixer = policy.mixer  # type: ignore[attr-defined]
    assert torch.equal(fetched(batch, batch.flip(0), lam), frozen(batch, batch.flip(0), lam))
    assert policy.name == "name"


def test_a_repository_that_cannot_be_fetched_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="no such repository can be fetched"):
        create_policy("no-such-owner/no-such-mixer")


def change(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, **values}))


def test_a_folder_that_does_not_fit_is_refused_with_a_sentence(folder: Path) -> None:
    change(folder, format=99)
    with pytest.raises(ValueError, match="format: expected 2, which this version"):
        create_policy(str(folder))
    change(folder, format=2, channels=4)
    with pytest.raises(ValueError, match=r"does not fit its config\.json"):
        create_policy(str(folder))
    change(folder, channels=8)
    create_policy(str(folder))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"oops")
    with pytest.raises(ValueError, match="checksum"):
        create_policy(str(folder))
    weights.unlink()
    with pytest.raises(ValueError, match="checksum"):
        create_policy(str(folder))


def test_a_folder_that_computes_other_masks_is_refused(folder: Path) -> None:
    """As another version of a package could, with weights and checksum as they were."""
    record = json.loads((folder / "config.json").read_text())["record"]
    record["compatibility"][1][2] += 0.02
    change(folder, record=record)
    with pytest.raises(ValueError, match=r"compatibility test: masks differ by 0\.02.*timm"):
        create_policy(str(folder))
    record["compatibility"][1][2] -= 0.019
    change(folder, record=record)
    create_policy(str(folder))
    for wrong in ([[0.1]], "x", None):
        change(folder, record={**record, "compatibility": wrong})
        with pytest.raises(ValueError, match="masks differ by inf"):
            create_policy(str(folder))


@pytest.mark.parametrize(
    "values",
    [{"encoder": {}}, {"encoder": None}, {"mixer": {"no": 1}}, {"tap": "x"}, {"record": 3}],
    ids=str,
)
def test_a_configuration_of_something_else_is_refused_with_a_sentence(
    folder: Path, values: dict[str, Any]
) -> None:
    change(folder, **values)
    with pytest.raises(ValueError, match="no Mixer of samix"):
        create_policy(str(folder))


def test_it_keeps_its_digits_whatever_the_model_around_it_is_cast_to(folder: Path) -> None:
    frozen = PretrainedMixer.from_pretrained(str(folder))
    batch, lam = images(), torch.tensor([0.2, 0.4, 0.6, 0.8])
    wanted = frozen(batch, batch.flip(0), lam)
    for cast in (torch.bfloat16, torch.float16):
        around = nn.Sequential(nn.Conv2d(3, 3, 1), frozen).to(cast)
        assert around[0].weight.dtype == cast
        assert {value.dtype for value in frozen.parameters()} == {torch.float32}
        assert torch.equal(frozen(batch, batch.flip(0), lam), wanted)
    assert frozen.to("meta").features(batch.to("meta")).device.type == "meta"


def test_images_of_another_number_of_channels_are_refused(folder: Path) -> None:
    policy = create_policy(str(folder))
    with pytest.raises(ValueError, match=r"expected \(B,3,H,W\).*got \(4, 1, 8, 8\)"):
        policy.plan(torch.rand(4, 1, 8, 8))


def test_what_cannot_be_described_is_refused() -> None:
    with pytest.raises(ValueError, match="a module of one's own"):
        pretrained_mixer(nn.Identity(), make().mixer, Tap(None, 8), make=NETWORK, resolution=16)


def test_as_a_policy_of_any_batch_of_any_size(folder: Path) -> None:
    policy = create_policy(str(folder), alpha=1.5)
    assert policy.name == "mixer"
    assert not policy.traits.learned
    for size in (16, 40):
        plan = policy.plan(images(5, size), generator=step_generator(0, 0))
        assert plan.mask.shape == (5, 1, size, size)
        assert torch.equal(plan.weight, plan.lam)
        assert not plan.mask.requires_grad
    # alpha is 1 where none is given, whatever that of its training
    assert create_policy(str(folder)).alpha == 1.0  # type: ignore[attr-defined]
    assert MixerOptions() == policy.mixer.mixer.options  # type: ignore[attr-defined]


def test_a_mask_depends_on_its_pair_alone(folder: Path) -> None:
    policy, batch = create_policy(str(folder)), images(5)
    plan = policy.plan(batch, generator=step_generator(3, 0))
    mixer: PretrainedMixer = policy.mixer  # type: ignore[attr-defined]
    for i, j in enumerate(plan.index.tolist()):
        alone = mixer(batch[i : i + 1], batch[j : j + 1], plan.lam[i : i + 1])
        assert torch.allclose(alone[0], plan.mask[i], atol=1e-5)


def test_inside_every_kind_of_method(folder: Path) -> None:
    batch = images(6, 16)
    supervised = create_method("supervised", num_classes=2, policy=str(folder), **NETWORK)
    supervised(batch, torch.arange(6) % 2).loss.backward()
    assert supervised.average is None
    contrastive = create_method(
        "moco", queue_size=8, policy=str(folder), cross_view=True, **NETWORK
    )
    step = contrastive((batch, batch.flip(3)))
    step.loss.backward()
    assert "mixer" not in step.terms
    # cross-view: the partner is looked at in the view that is mixed in
    mixer: PretrainedMixer = contrastive.policy.mixer
    i, j = 0, int(step.plan.index[0])
    wanted = mixer(batch[i : i + 1], batch.flip(3)[j : j + 1], step.plan.lam[i : i + 1])
    assert torch.allclose(wanted[0], step.plan.mask[i], atol=1e-5)


def test_an_unknown_name_is_still_refused() -> None:
    with pytest.raises(ValueError, match="the nearest is 'cutmix'"):
        create_policy("cutmixx")
    with pytest.raises(ValueError, match="policy: expected one of"):
        create_policy("./not/there")
    with pytest.raises(ValueError, match=r"mixer: expected one of.*got 'demoo'; .*'demo'"):
        create_policy("samix-p", mixer="demoo")
