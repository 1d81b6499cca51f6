from __future__ import annotations

from typing import Any

import pytest
import torch

from samix import Evidence, MixPlan, blend, create_method, create_policy, mix_targets
from samix.mixing import Mosaic, mosaic_shares, read_mosaic
from samix.policies.comixup import _owners, _parts, co_mosaics


def peaked(count: int, size: int = 16, seed: int = 0) -> torch.Tensor:
    """Gradients that are long in one of 4 x 4 places each."""
    generator = torch.Generator().manual_seed(seed)
    gradient = torch.full((count, 1, size, size), 0.1)
    for image in gradient:
        row, column = torch.randint(4, (2,), generator=generator).tolist()
        image[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 2.0
    return gradient


def plan_of(gradient: torch.Tensor, seed: int = 0, **options: object) -> MixPlan:
    images = torch.rand(len(gradient), 3, *gradient.shape[2:])
    return create_policy("co-mixup", **options).plan(
        images,
        evidence=Evidence(gradient=gradient),
        generator=torch.Generator().manual_seed(seed),
    )


def test_mosaics_show_several_images_and_what_is_salient_of_them() -> None:
    gradient = peaked(20)
    plan = plan_of(gradient)
    assert isinstance(plan.source, Mosaic)
    shown = [len(mosaic.unique()) for mosaic in plan.source.cells]
    assert sum(number > 1 for number in shown) > 10
    assert max(shown) > 2
    saliency = gradient.view(20, 4, 4, 4, 4).mean((2, 4))
    saliency = saliency / saliency.sum((1, 2), keepdim=True)
    seen = saliency.gather(0, plan.source.cells).sum((1, 2))
    whole = torch.ones(20)
    assert (seen > whole + 0.2).float().mean() > 0.5


def test_no_image_is_shown_everywhere() -> None:
    gradient = torch.full((20, 1, 16, 16), 0.01)
    gradient[0] = 1.0  # all images have their content everywhere; one could be shown by all
    plan = plan_of(gradient)
    assert isinstance(plan.source, Mosaic)
    assert mosaic_shares(plan.source.cells, (16, 16)).sum(0).max() < 2.5


@pytest.mark.parametrize("size", [(16, 16), (10, 15), (4, 30)])
def test_the_label_is_the_share_of_pixels_of_each_image(size: tuple[int, int]) -> None:
    plan = plan_of(torch.rand(7, 1, *size))
    assert isinstance(plan.source, Mosaic)
    soft = mix_targets(torch.arange(7), plan, 7)
    numbers = torch.arange(7.0).view(-1, 1, 1, 1).expand(-1, 3, *size)
    pixels = blend(numbers, plan)[:, 0].long()
    for i in range(7):
        shown = torch.bincount(pixels[i].flatten(), minlength=7) / (size[0] * size[1])
        assert torch.allclose(soft[i], shown, atol=1e-6)
        assert plan.weight[i].item() == pytest.approx(shown[i].item(), abs=1e-6)
        rest = shown.clone()
        rest[i] = 0
        assert rest[int(plan.index[i])] == rest.max()


@pytest.mark.parametrize("size", [(8, 8), (9, 14)])
def test_a_mosaic_shows_cells_in_place(size: tuple[int, int]) -> None:
    images, mosaic = torch.rand(5, 3, *size), torch.randint(5, (3, 4, 2))
    found = read_mosaic(images, mosaic)
    for n in range(3):
        for row in range(size[0]):
            for column in range(size[1]):
                shown = mosaic[n, row * 4 // size[0], column * 2 // size[1]]
                assert torch.equal(found[n, :, row, column], images[shown, :, row, column])


def test_a_batch_is_cut_into_parts_of_about_one_size() -> None:
    for count, sizes in ((5, [5]), (20, [20]), (21, [11, 10]), (64, [16] * 4), (41, [14, 14, 13])):
        parts = _parts(torch.arange(count))
        assert [part.shape[1] for part in parts for _ in part] == sizes
        assert torch.equal(torch.cat([part.flatten() for part in parts]), torch.arange(count))


def test_each_image_is_given_the_mosaic_that_shows_it_most() -> None:
    counts = torch.tensor([[[5.0, 9.0, 2.0], [0.0, 8.0, 8.0], [16.0, 0.0, 0.0]]])
    assert _owners(counts).tolist() == [[2, 0, 1]]


def test_parts_do_not_depend_on_each_other() -> None:
    generator = torch.Generator().manual_seed(0)
    saliency = torch.rand(2, 5, 4, 4, generator=generator).pow(3)
    saliency = saliency / saliency.sum((2, 3), keepdim=True)
    start = torch.randint(5, (2, 5, 4, 4), generator=generator)
    prior = torch.full((2, 5), 0.2)
    both = co_mosaics(saliency, start, prior, 0.83)
    for part in range(2):
        one = [part]
        alone = co_mosaics(saliency[one], start[one], prior[one], 0.83)
        assert torch.equal(both[part], alone[0])


def test_a_method_trains_with_it_and_refuses_what_knows_pairs_alone() -> None:
    small: dict[str, Any] = {
        "backbone": "resnet18",
        "num_classes": 4,
        "stem": "small",
        "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)},
    }
    torch.manual_seed(0)
    method = create_method("supervised", policy="co-mixup", **small)
    images, target = torch.randn(6, 3, 16, 16), torch.arange(6) % 4
    step = method(images, target)
    assert step.plan is not None
    assert isinstance(step.plan.source, Mosaic)
    assert blend(images, step.plan).shape == images.shape
    wanted = -(mix_targets(target, step.plan, 4) * step.logits.log_softmax(1)).sum(1).mean()
    assert step.loss.item() == pytest.approx(wanted.item(), abs=1e-5)
    for options in ({"pairing": "same"}, {"decoupled": 0.1}, {"guard": True}, {"label": "lam"}):
        with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
            create_method("supervised", policy="co-mixup", **small, **options)
    with pytest.raises(ValueError, match="threshold: expected a number above 0"):
        create_policy("co-mixup", threshold=0.0)
