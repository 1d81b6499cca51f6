from __future__ import annotations

import pytest
import torch
from PIL import Image

from samix.pages import mixer as drawing
from samix.pages.mixer import Looks, draw_mixer


def looks(pairs: int = 2) -> Looks:
    white, black = torch.ones(pairs, 3, 8, 8), torch.zeros(pairs, 3, 8, 8)
    lam = (0.25, 0.75)
    masks = torch.tensor(lam).view(2, 1, 1, 1, 1).expand(2, pairs, 1, 8, 8)
    swept = torch.linspace(0, 1, 5)
    area = swept.view(-1, 1).expand(5, pairs)
    return Looks(white, black, [("good", "$crack_$")] * pairs, lam, masks, swept, area)


def test_masks_and_mixes_of_each_lam_with_the_curve_of_the_area(tmp_path, monkeypatch):
    shown, curves = [], []
    monkeypatch.setattr(drawing, "show", lambda axes, image, text: shown.append((image, text)))
    monkeypatch.setattr(drawing, "show_mask", lambda axes, mask, text: shown.append((mask, text)))
    monkeypatch.setattr(drawing, "_draw_area", lambda axes, given: curves.append(given.area))
    draw_mixer(tmp_path / "mixer.png", looks(1), title="$title_$")
    assert [text for _, text in shown] == [
        "original 1\ngood", "partner\n$crack_$", "lam 0.25, area 0.25", "", "lam 0.75, area 0.75",
        "",
    ]  # fmt: skip
    # a white original over a black partner: the mix is as bright as the mask
    assert torch.equal(shown[3][0], torch.full((3, 8, 8), 0.25))
    assert torch.equal(shown[5][0], torch.full((3, 8, 8), 0.75))
    assert len(curves) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mixer.png"]


@pytest.mark.parametrize("pairs", [1, 4, 6])
def test_draws_any_number_of_pairs(tmp_path, pairs):
    draw_mixer(tmp_path / "mixer.png", looks(pairs))
    with Image.open(tmp_path / "mixer.png") as picture:
        assert picture.height > 200 * pairs


def test_no_pair_and_too_many_are_refused(tmp_path):
    for pairs in (0, 7):
        with pytest.raises(ValueError, match=f"expected 1 to 6 pairs, got {pairs}"):
            draw_mixer(tmp_path / "mixer.png", looks(pairs))
