from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from samix.pages.mixer import Looks, mixer_strips, write_mixer


def looks(pairs: int = 2) -> Looks:
    white, black = torch.ones(pairs, 3, 8, 8), torch.zeros(pairs, 3, 8, 8)
    lam = (0.25, 0.75)
    masks = torch.tensor(lam).view(2, 1, 1, 1, 1).expand(2, pairs, 1, 8, 8)
    swept = torch.linspace(0, 1, 5)
    area = swept.view(-1, 1).expand(5, pairs)
    return Looks(white, black, [("good", "$crack_$")] * pairs, lam, masks, swept, area)


def test_masks_and_mixes_of_each_lam():
    (strip,) = mixer_strips(looks(1))
    labels = [one.label.en for one in strip.thumbs]
    assert labels == ["original: good", "partner: $crack_$", *["mask", "mix"] * 2]
    assert strip.thumbs[2].note.en == "lam 0.25, area 0.25"
    # a white original over a black partner: the mix is as bright as the mask
    for place, value in ((3, 0.25), (5, 0.75)):
        picture = np.asarray(Image.open(io.BytesIO(strip.thumbs[place].png)))
        assert picture.mean() == pytest.approx(255 * value, abs=1)


@pytest.mark.parametrize("pairs", [1, 4, 6])
def test_the_page_shows_any_number_of_pairs(tmp_path, pairs):
    write_mixer(tmp_path / "mixer.html", looks(pairs), title="<title>")
    text = (tmp_path / "mixer.html").read_text("utf-8")
    assert text.count("data:image/png") == 6 * pairs
    assert "&lt;title&gt;" in text
    assert [path.name for path in tmp_path.iterdir()] == ["mixer.html"]


def test_no_pair_and_too_many_are_refused(tmp_path):
    for pairs in (0, 7):
        with pytest.raises(ValueError, match=f"expected 1 to 6 pairs, got {pairs}"):
            write_mixer(tmp_path / "mixer.html", looks(pairs), title="t")
