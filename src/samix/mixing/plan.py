"""MixPlan: everything that was decided about a mix, before any pixel is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from .masks import area_of, box_area, box_mask
from .sources import IN_PLACE, Source, choose_source

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True)
class Boxed:
    """A mask that is a box, of which nothing but the box need be looked at.

    Attributes:
        box: (B,4) int64 top, left, bottom, right in pixels; bottom and right are exclusive.
        size: Height and width of the mask in pixels.
        inside: (B,) float32 in [0, 1], the mask inside of each box; None is 0.
    """

    box: Tensor
    size: tuple[int, int]
    inside: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """(B,1,H,W) float32, 1 outside of each box; made when it is first asked for."""
        made: Tensor | None = vars(self).get("_made")
        if made is None:
            made = box_mask(self.box, self.size, self.inside)
            object.__setattr__(self, "_made", made)
        return made

    @property
    def area(self) -> Tensor:
        """(B,) mean of each mask."""
        area = box_area(self.box, self.size)
        return area if self.inside is None else area + (1.0 - area) * self.inside

    def choose(self, other: Boxed, chosen: Tensor) -> Boxed:
        """Return another batch's boxes where (B,) bool ``chosen``, these elsewhere."""
        box, inside = torch.where(chosen.unsqueeze(1), other.box, self.box), None
        if self.inside is not None or other.inside is not None:
            new, old = (
                torch.zeros_like(chosen, dtype=torch.float32)
                if part.inside is None
                else part.inside
                for part in (other, self)
            )
            inside = torch.where(chosen, new, old)
        return Boxed(box, self.size, inside)

    def map(self, function: Callable[[Tensor], Tensor]) -> Boxed:
        """Return the boxes with a function applied to their tensors."""
        inside = None if self.inside is None else function(self.inside)
        return Boxed(function(self.box), self.size, inside)


def check_index(index: Tensor, count: int | None, name: str = "index") -> int | None:
    """Refuse partners that are not there, where that can be seen without waiting for a device.

    A number below 0 would count from the end of the batch, without a word.

    Args:
        index: (B,) int64, partner of each image.
        count: Number of images that partners are taken from; None looks for numbers below 0 alone.
        name: Of the argument.

    Returns:
        The highest position, or None where that cannot be seen.

    Raises:
        ValueError: A partner lies outside of them; on the CPU and outside of ``torch.compile``.
    """
    if index.device.type != "cpu" or torch.compiler.is_compiling() or not index.numel():
        return None
    numbers = index.numpy()  # of so few numbers in a third of the time that torch takes
    least, most = int(numbers.min()), int(numbers.max())
    if least < 0 or (count is not None and most >= count):
        wanted = "from 0 on" if count is None else f"0 to {count - 1}"
        raise ValueError(
            f"{name}: expected positions in the batch, {wanted}, got {least} to {most}; number the "
            "partners from the first image, as torch.randperm(len(images)) does"
        )
    return most


@dataclass(frozen=True)
class MixPlan:
    """What will be mixed with what, where, and what the label says about it.

    A plan can be applied to images (:func:`samix.blend`), to labels (:func:`samix.mix_targets`),
    and replayed on a segmentation map or another view of the same batch.

    Attributes:
        lam: (B,) float32 in [0, 1], weight of the original as drawn.
        index: (B,) int64, ``images[index]`` are the partners.
        mask: (B,1,H,W) float32 in [0, 1], weight of the original in each pixel.
        weight: (B,) float32 in [0, 1], share of the original that the label uses.
        source: Where the mix reads its images; see :mod:`samix.mixing.sources`.
        partner_weight: (B,) float32 in [0, 1] or None: share of the partner that the label uses, in
            a policy whose shares need not sum to 1; None is 1 - weight.
        boxed: The boxes of a plan of :meth:`of_boxes`, whose mask is made when it is asked for; a
            plan whose mask was replaced has none.
    """

    lam: Tensor
    index: Tensor
    mask: Tensor
    weight: Tensor
    source: Source = IN_PLACE
    partner_weight: Tensor | None = None
    boxed: Boxed | None = None

    def __post_init__(self) -> None:
        given: dict[str, Any] = vars(self)
        if self.boxed is not None and given["mask"] is not None:
            own = given["mask"] is vars(self.boxed).get("_made")
            object.__setattr__(self, "mask" if own else "boxed", None)
        if self.boxed is not None:
            object.__delattr__(self, "mask")
        for name, dims in (("lam", 1), ("index", 1), ("weight", 1), ("mask", 4)):
            value: Tensor | None = given.get(name)
            if value is None:  # the mask of boxes
                continue
            if not isinstance(value, Tensor):
                raise TypeError(f"MixPlan.{name}: expected a tensor, got {type(value).__name__}")
            batch = self.lam.shape[0] if self.lam.ndim else 0
            if value.ndim != dims or value.shape[0] != batch:
                raise ValueError(
                    f"MixPlan.{name}: expected {dims} dimension(s) with {batch} samples first, "
                    f"got {tuple(value.shape)}"
                )
        if self.index.dtype != torch.int64:
            raise TypeError(f"MixPlan.index: expected int64, got {self.index.dtype}")
        object.__setattr__(self, "_last", check_index(self.index, None, "MixPlan.index"))

    @classmethod
    def of_boxes(
        cls, lam: Tensor, index: Tensor, boxed: Boxed, weight: Tensor, **rest: Any
    ) -> Self:
        """Return a plan whose mask is a box; ``rest`` are further attributes."""
        return cls(lam, index, cast("Tensor", None), weight, boxed=boxed, **rest)

    def __getattr__(self, name: str) -> Tensor:
        boxed: Boxed | None = vars(self).get("boxed") if name == "mask" else None
        if boxed is None:
            raise AttributeError(f"'MixPlan' object has no attribute {name!r}")
        return boxed.mask

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images in pixels."""
        if self.boxed is not None:
            return self.boxed.size
        return self.mask.shape[2], self.mask.shape[3]

    def check_partners(self, count: int, name: str = "plan.index") -> None:
        """Raise a ValueError where a partner is not one of so many images, as far as is known."""
        last: int | None = vars(self)["_last"]
        if last is not None and last >= count:
            check_index(self.index, count, name)

    @property
    def area(self) -> Tensor:
        """(B,) mean of each mask."""
        return area_of(self.mask) if self.boxed is None else self.boxed.area

    @property
    def mixed(self) -> Tensor:
        """(B,) bool, whether a sample shows anything of its partner, or its label names it."""
        return (self.area < 1.0) | (self.partner_share > 0.0)

    @property
    def partner_share(self) -> Tensor:
        """(B,) share of the partner that the label uses."""
        return 1.0 - self.weight if self.partner_weight is None else self.partner_weight

    @property
    def shares(self) -> Tensor:
        """(B,2) shares of original and partner that the label uses."""
        return torch.stack([self.weight, self.partner_share], dim=1)

    def relabel(self, weight: Tensor) -> MixPlan:
        """Return the plan with another label: (B,) weight of the original, the rest the partner."""
        mask: Any = vars(self).get("mask")  # of boxes none is made for this
        return replace(self, mask=mask, weight=weight, partner_weight=None)

    def __len__(self) -> int:
        return self.lam.shape[0]

    def detach(self) -> MixPlan:
        """Return the plan cut off from the graph that made its mask."""
        return self._map(lambda tensor: tensor.detach() if tensor.requires_grad else tensor)

    def to(self, device: torch.device | str) -> MixPlan:
        """Return the plan on a device."""
        return self._map(lambda tensor: tensor.to(device))

    def _map(self, function: Callable[[Tensor], Tensor]) -> MixPlan:
        values = {field.name: vars(self).get(field.name) for field in fields(self)}
        changed: dict[str, Any] = {
            name: function(value) if isinstance(value, Tensor) else value
            for name, value in values.items()
        }
        boxed = None if self.boxed is None else self.boxed.map(function)
        return replace(self, **changed | {"source": self.source.map(function), "boxed": boxed})


def keep_clean(plan: MixPlan, clean: Tensor) -> MixPlan:
    """Return the plan with some samples left unmixed: lam, mask and weight are 1 there.

    Args:
        plan: The plan to change; it is not touched.
        clean: (B,) bool, True where a sample stays as it is.
    """
    other, boxed = plan.partner_weight, plan.boxed
    mask: Any = None
    if boxed is not None:
        boxed = replace(boxed, box=boxed.box.masked_fill(clean.view(-1, 1), 0))
    else:
        even = plan.mask.stride()[2:] == (0, 0)  # and stays so
        some = plan.mask[:, :, :1, :1] if even else plan.mask
        mask = some.masked_fill(clean.view(-1, 1, 1, 1), 1.0).expand_as(plan.mask)
    return replace(
        plan,
        lam=plan.lam.masked_fill(clean, 1.0),
        mask=mask,
        boxed=boxed,
        weight=plan.weight.masked_fill(clean, 1.0),
        source=plan.source.keep_clean(clean),
        partner_weight=None if other is None else other.masked_fill(clean, 0.0),
    )


def choose(plan: MixPlan, other: MixPlan, chosen: Tensor) -> MixPlan:
    """Return the samples of another plan where they are chosen, and of the plan elsewhere.

    Args:
        plan: Plan for a batch.
        other: Another plan for the same batch.
        chosen: (B,) bool, True where a sample is taken from ``other``.
    """
    waits = chosen.device.type != "cpu" or torch.compiler.is_compiling()
    if not waits and not chosen.any():
        return plan  # and a mask that is a box stays one
    partner_weight = plan.partner_weight
    if partner_weight is not None or other.partner_weight is not None:
        partner_weight = torch.where(chosen, other.partner_share, plan.partner_share)
    mask: Any = None
    boxed = None
    if plan.boxed is not None and other.boxed is not None:
        boxed = plan.boxed.choose(other.boxed, chosen)
    else:
        mask = torch.where(chosen.view(-1, 1, 1, 1), other.mask, plan.mask)
    return replace(
        plan,
        lam=torch.where(chosen, other.lam, plan.lam),
        index=torch.where(chosen, other.index, plan.index),
        mask=mask,
        boxed=boxed,
        weight=torch.where(chosen, other.weight, plan.weight),
        source=choose_source(plan.source, other.source, chosen),
        partner_weight=partner_weight,
    )


@dataclass(frozen=True)
class Evidence:
    """What a method knows about the images of a batch beyond their pixels.

    Attributes:
        features: (B,C,h,w) feature map of the momentum encoder at its tap.
        partner_features: The same of the batch that partners are taken from, where that is another
            view of the images; None takes ``features``.
        partner_images: (B,3,H,W) that other view itself, for policies that look at pixels.
        saliency: (B,1,H',W') share of its image's content that lies in each place, 0 or more, of
            any size; see :mod:`samix.mixing.saliency`.
        partner_saliency: The same of the other view; None takes ``saliency``.
        gradient: (B,1,H,W) length of the gradient of the classification loss by each pixel, over
            the channels.
        activation: (B,1,h,w) share of what speaks for the image's own class that lies in each
            place, 0 or more, each map with sum 1.
        attention: (B,1,h,w) share of the attention that a transformer pays to each patch, 0 or
            more, each map with sum 1.
    """

    features: Tensor | None = None
    partner_features: Tensor | None = None
    partner_images: Tensor | None = None
    saliency: Tensor | None = None
    partner_saliency: Tensor | None = None
    gradient: Tensor | None = None
    activation: Tensor | None = None
    attention: Tensor | None = None

    def head(self, count: int) -> Evidence:
        """Return what is known about the first ``count`` images."""
        return self.rows(slice(count))

    def known(self, name: str) -> Tensor:
        """Return a field that is needed; a ValueError where it is not known."""
        value: Tensor | None = getattr(self, name)
        if value is None:
            raise ValueError(f"evidence: expected the {name} of the images, got none")
        return value

    def rows(self, chosen: slice | Tensor) -> Evidence:
        """Return what is known about some images, by their positions."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Evidence(**{k: None if v is None else v[chosen] for k, v in values.items()})
