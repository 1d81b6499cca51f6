"""RecursiveMix: the mixes of the batch before are pasted, small, into the next batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from samix.mixing import (
    EarlierBatch,
    Grid,
    MixPlan,
    box_in_box,
    constant_mask,
    cut_box,
    draw_uniform,
)

from .policy import Policy, PolicyCard, Traits, check_number, register
from .static import box_plan

_NOT_IN_A_PAIR = (
    "the paper pastes mixes of the batch before, which hold many images; the partner of a pair is "
    "one of these mixes"
)


class RecursivePolicy(Policy):
    """A policy whose partners are what was mixed the last time.

    After each batch, :meth:`after` is told the mixed images and their labels; until then nothing is
    mixed. What is kept is part of the state dict. Every process of a distributed run keeps what
    it mixed itself.

    Args:
        reach: Largest share of the image that is covered, in (0, 1].
        p: Probability that a sample is mixed, in [0, 1].
    """

    traits = Traits(
        sources="history",
        relabel=False,
        excused={"test_pair_locality_a_plan_is_that_of_the_pair_alone": _NOT_IN_A_PAIR},
    )

    def __init__(self, *, reach: float = 0.5, p: float = 1.0) -> None:
        super().__init__("recursivemix", p=p)
        check_number(reach, "reach")
        if not 0.0 < reach <= 1.0:
            raise ValueError(f"reach: expected a number above 0 and at most 1, got {reach}")
        self.reach = reach
        self.past_images: Tensor | None = None
        self.past_target: Tensor | None = None

    def rule(self, images: Tensor, index: Tensor, generator: torch.Generator) -> MixPlan:
        """Plan the mix of a batch with what is remembered; of the first batch nothing is mixed.

        Args:
            images: (B,C,H,W).
            index: (B,) int64, positions in the batch before.
            generator: Source of randomness, on the CPU.

        Raises:
            ValueError: The images are of another shape than those that are remembered.
        """
        past = self.past_images
        if past is not None and past.shape[1:] != images.shape[1:]:
            raise ValueError(
                f"images: expected {tuple(past.shape[1:])} as in the batch before, got "
                f"{tuple(images.shape[1:])}; call policy.forget() before the size changes"
            )
        return recursivemix_plan(
            images,
            index,
            generator,
            reach=self.reach,
            past_images=past,
            past_target=self.past_target,
        )

    @torch.no_grad()
    def after(self, mixed: Tensor, soft_target: Tensor) -> None:
        """Keep a batch as it was mixed, for the next one.

        Args:
            mixed: (B,C,H,W) mixed images.
            soft_target: (B,K) their labels.

        Raises:
            ValueError: The number of labels differs from the number of images.
        """
        if soft_target.ndim != 2 or len(soft_target) != len(mixed):
            raise ValueError(
                f"soft_target: expected ({len(mixed)},K), got {tuple(soft_target.shape)}"
            )
        self.past_images = mixed.detach().clone()
        self.past_target = soft_target.detach().float().clone()

    def forget(self) -> None:
        """Forget what is remembered: the next batch is not mixed."""
        self.past_images = self.past_target = None

    def get_extra_state(self) -> dict[str, Tensor | None]:
        """Return what is remembered, for the state dict."""
        return {"images": self.past_images, "target": self.past_target}

    def set_extra_state(self, state: Any) -> None:
        """Take up what was remembered from a state dict."""
        self.past_images, self.past_target = state["images"], state["target"]


def recursivemix_plan(
    images: Tensor,
    index: Tensor,
    generator: torch.Generator,
    *,
    reach: float,
    past_images: Tensor | None,
    past_target: Tensor | None,
) -> MixPlan:
    """Plan of RecursiveMix: the whole of an earlier mix, shrunk, in a box; labels by area.

    The box covers a share that is uniform in [0, ``reach``], clipped at the border; its label is
    that of the earlier mix, so that labels hold ever more classes.
    """
    size, device = (images.shape[2], images.shape[3]), images.device
    drawn = draw_uniform(len(images), generator=generator, device=device)
    centre = draw_uniform(len(images), 2, generator=generator, device=device)
    if past_images is None or past_target is None:
        ones = torch.ones(len(images), device=device, dtype=torch.float32)
        return MixPlan(ones, index, constant_mask(ones, size), ones)
    box = cut_box(1.0 - reach * drawn, centre, size)
    whole = torch.tensor([0, 0, *size]).to(device, non_blocking=True).expand(len(images), -1)
    source = EarlierBatch(
        past_images.to(device, images.dtype),
        past_target.to(device),
        Grid(box_in_box(box, whole, size)),
    )
    return box_plan(None, index % len(past_images), box, size, source)


@register(
    "recursivemix",
    PolicyCard(
        "RecursiveMix: mixes of the batch before are pasted, small, into the next batch.",
        source=(
            "RecursiveMix, arXiv 2203.06844, by its public code; of the paper's text only the "
            "title was at hand"
        ),
        notes=(
            "Deviations: box and place per sample; the earlier mix is a random one of its batch, "
            "not that at the same position; it is read bilinearly, where the code takes the "
            "nearest pixel; the paper's second loss, on the features in the box against what was "
            "said of the earlier mix, is left out."
        ),
        options={"reach": "Largest share of the image that is covered, in (0, 1]."},
    ),
)
def recursivemix(reach: float = 0.5, p: float = 1.0) -> RecursivePolicy:
    return RecursivePolicy(reach=reach, p=p)
