from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import samix
from samix.pages import mixes
from samix.pages.mixes import draw_mixes


def colours(batch: int) -> torch.Tensor:
    values = torch.linspace(0.1, 0.9, batch)
    images = torch.zeros(batch, 3, 16, 16)
    images[:, 0] = values.view(-1, 1, 1)
    images[:, 2] = 1 - values.view(-1, 1, 1)
    return images


@pytest.mark.parametrize(
    ("policy", "batch"), [("none", 2), ("mixup", 3), ("cutmix", 8), ("resizemix", 12)]
)
def test_draws_any_number_of_pairs(tmp_path, policy, batch):
    images = colours(batch)
    plan = samix.create_policy(policy).plan(images, generator=torch.Generator().manual_seed(0))
    draw_mixes(tmp_path / "mixes.png", images, plan, ["class"] * batch)
    with Image.open(tmp_path / "mixes.png") as picture:
        assert picture.width > 800
    assert [path.name for path in tmp_path.iterdir()] == ["mixes.png"]


def test_shows_original_partner_mask_and_mix_with_their_numbers(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(
        mixes, "_show", lambda axes, picture, text, *place: shown.append((text, picture.numpy()))
    )
    images = colours(2)
    lam = torch.tensor([0.25, 0.75])
    mask = lam.view(-1, 1, 1, 1).expand(-1, 1, 16, 16)
    plan = samix.MixPlan(lam, torch.tensor([1, 0]), mask, lam)
    draw_mixes(tmp_path / "mixes.png", images, plan, ["good", "$crack_$"])
    texts = [text for text, _ in shown[:4]]
    assert texts[:2] == ["original\ngood", "partner\n$crack_$"]
    assert "lam 0.25  area 0.25" in texts[3]
    original, partner, drawn, mixed = (picture for _, picture in shown[:4])
    assert np.allclose(original, images[0])
    assert np.allclose(partner, images[1])
    assert np.allclose(drawn, 0.25)
    assert np.allclose(mixed, 0.25 * original + 0.75 * partner, atol=1e-6)


def test_says_the_share_of_the_label_where_it_is_not_lam(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(mixes, "_show", lambda axes, picture, text, *place: shown.append(text))
    lam, area = torch.tensor([0.3, 0.3]), torch.tensor([0.5, 0.5])
    mask = torch.full((2, 1, 16, 16), 0.5)
    plan = samix.MixPlan(lam, torch.tensor([1, 0]), mask, area)
    draw_mixes(tmp_path / "mixes.png", colours(2), plan, ["a", "b"])
    assert "lam 0.30  area 0.50\nlabel 0.50" in shown[3]


def test_refuses_labels_of_other_images(tmp_path):
    images = colours(3)
    plan = samix.create_policy("mixup").plan(images)
    with pytest.raises(ValueError, match="3, 3 and 2"):
        draw_mixes(tmp_path / "mixes.png", images, plan, ["a", "b"])
    assert not list(tmp_path.iterdir())
