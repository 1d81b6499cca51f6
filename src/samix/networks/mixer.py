"""The Mixer: a small network that computes how to mix two images.

Source: SAMix, arXiv 2111.15454, section 4 (mixing attention with content modelling), after AutoMix,
arXiv 2103.13027.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import never_narrower

_EPS = 1e-5  # of the normalisation, as in torch's norms
_LIMIT = 8.0  # of a logit before it is shifted: no mask is sharper than can be shifted exactly
_LAST_GAIN = 0.03  # of the last layer: a little structure from the first step


@dataclass(frozen=True)
class MixerOptions:
    """What can be chosen about a Mixer.

    Attributes:
        form: "saliency" gives each place of an image a worth of its own, and shows whichever of
            both images is worth more there; "attention" compares each place of one image with all
            places of the other, with five times the weights. None is "attention" with the start
            "paper", which has no other, and "saliency" otherwise.
        start: "mixup" starts close to a constant mask of lam and learns to depart from it; "paper"
            is the form of the paper and its public implementation: attention that does not know
            which image is which, batch norm in the value branch, weights from N(0, 0.01), lam only
            as a scaling of the features.
        value: "nonlinear" (SAMix) or "linear" (AutoMix).
        lam_embedding: Scale the features by lam (1 + r(lam)).
        lam_curve: k of the polynomial r, or None for r(lam) = lam.
        upsample: "bilinear" or "nearest".
        lam_margin: Where lam or 1 - lam is at most this, the mask is constant.
    """

    form: Literal["saliency", "attention"] | None = None
    start: Literal["mixup", "paper"] = "mixup"
    value: Literal["nonlinear", "linear"] = "nonlinear"
    lam_embedding: bool = True
    lam_curve: float | None = 0.25
    upsample: Literal["bilinear", "nearest"] = "bilinear"
    lam_margin: float = 0.08

    def __post_init__(self) -> None:
        choices = {
            "form": ("saliency", "attention", None),
            "start": ("mixup", "paper"),
            "value": ("nonlinear", "linear"),
            "upsample": ("bilinear", "nearest"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: expected one of {allowed}, got {getattr(self, name)!r}")
        if self.start == "paper" and self.form == "saliency":
            raise ValueError(
                "form: expected 'attention' or None with start 'paper', whose Mixer attends, got "
                "'saliency'"
            )
        for name in ("lam_margin", "lam_curve"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, int | float):
                raise TypeError(f"{name}: expected a number, got {value!r}")
        if self.lam_curve is not None and not self.lam_curve > -1 / 3:
            raise ValueError(f"lam_curve: expected a number above -1/3, got {self.lam_curve}")
        if not 0.0 <= self.lam_margin < 0.5:
            raise ValueError(f"lam_margin: expected a number in [0, 0.5), got {self.lam_margin}")

    @property
    def attends(self) -> bool:
        """Whether the Mixer has an attention."""
        return self.form == "attention" or self.start == "paper"


def lam_polynomial(lam: Tensor, k: float | None) -> Tensor:
    """Return r(lam), which is flatter or steeper than lam near one half.

    ``r = (4/3 lam^3 - 2 lam^2 + (k + 1) lam) / (k + 1/3)``; r(0) = 0, r(1/2) = 1/2, r(1) = 1.
    Source: the public implementation of SAMix.

    Args:
        lam: Any shape, in [0, 1].
        k: Shape of the curve, above -1/3; None gives r = lam.
    """
    if k is None:
        return lam
    return lam * (lam * (4 / 3 * lam - 2) + (k + 1)) / (k + 1 / 3)


def pair_attention(query: Tensor, key: Tensor) -> Tensor:
    """Return ``softmax(query^T key / sqrt(d))``, in float32 also for inputs of low precision.

    Args:
        query: (B,D,N).
        key: (B,D,M).

    Returns:
        (B,N,M), rows sum to 1.
    """
    scores = torch.bmm(_wide(query).transpose(1, 2), _wide(key)) / math.sqrt(query.shape[1])
    return scores.softmax(dim=-1)


class _Projected(NamedTuple):
    """An image under the maps of the attention, (B,N,D) each."""

    query_first: Tensor  # its part in the query where it is the one that looks
    query_second: Tensor  # its part in the query where it is looked at
    key_first: Tensor  # its part in the key where it is the one that looks
    key_second: Tensor  # its part in the key where it is looked at
    hidden: Tensor  # under the first layer of the value branch

    def looks_at(
        self, seen: _Projected, query_bias: Tensor | None, key_bias: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return query and key, (B,D,N) each, where this image looks at another one."""
        query = self.query_first + seen.query_second
        key = self.key_first + seen.key_second
        query = query if query_bias is None else query + query_bias
        key = key if key_bias is None else key + key_bias
        return query.transpose(1, 2), key.transpose(1, 2)


def _wide(values: Tensor) -> Tensor:
    return values if values.dtype.itemsize >= 4 else values.float()


class Mixer(nn.Module):
    """Computes the mask of a pair from the features of both images and lam.

    ``mask = sigmoid(up(g(original, partner)) + c)``, where c makes the area of the mask lam, and g
    says at each place how much more the original is worth showing than its partner:

    The size of g is at most 8 (``8 tanh(g / 8)``).

    - form "saliency": ``g = s(original) - s(partner)`` with a value s of each place alone;
    - form "attention": ``g = t(partner, original) - t(original, partner)`` with
      ``t(a, b) = attention(a, b) value(b)``, where query and key each see both images and the value
      describes the second, as in the public implementation.

    Exchanging the images exchanges the mask, ``mask(a, b, lam) + mask(b, a, 1 - lam) = 1``: g
    changes its sign, and so does c.

    Deviations from the paper: its Mixer has the second term of the attention alone, so that it does
    not know which image is the original, and did not come alive in 750 steps (see
    ``MixerOptions.start`` for that form). Here features are normalised per sample, with no
    statistics of the batch; lam enters after that; the logits are shifted at the size of the image
    until the area is lam, so that the Mixer starts as mixup and decides about structure, not area.

    A Mixer stays in float32 when the model around it is cast to a lower precision: a mask needs the
    digits.

    Args:
        channels: Channels C of the feature map.
        options: See :class:`MixerOptions`.
    """

    def __init__(self, channels: int, options: MixerOptions | None = None) -> None:
        super().__init__()
        self.channels = channels
        self.options = options or MixerOptions()
        width = max(channels // 2, 1)
        if self.options.attends:
            self.query = nn.Conv1d(2 * channels, width, 1)
            self.key = nn.Conv1d(2 * channels, width, 1)
        self.value = self._value_branch(width)
        if self._dtype.itemsize < 4:  # of the default dtype
            self.float()
        self._initialise()

    def _value_branch(self, width: int) -> nn.Sequential:
        paper = self.options.start == "paper"
        # a bias of the last layer would cancel in a difference
        if self.options.value == "linear":
            return nn.Sequential(nn.Conv1d(self.channels, 1, 1, bias=paper))
        norm = [nn.BatchNorm1d(width)] if paper else []
        return nn.Sequential(
            nn.Conv1d(self.channels, width, 1), *norm, nn.ELU(), nn.Conv1d(width, 1, 1, bias=paper)
        )

    def _initialise(self) -> None:
        layers = [module for module in self.modules() if isinstance(module, nn.Conv1d)]
        for layer in layers:
            if self.options.start == "paper":
                nn.init.normal_(layer.weight, std=0.01)
            else:
                nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if self.options.start == "mixup":
            nn.init.xavier_uniform_(layers[-1].weight, gain=_LAST_GAIN)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Mixer:
        """Move to a device, or to a wider precision, but never to a lower one."""
        super()._apply(never_narrower(fn), recurse)  # type: ignore[no-untyped-call]
        return self

    def train(self, mode: bool = True) -> Mixer:
        """Switch the mode; a frozen Mixer stays in eval mode, with the statistics that it has."""
        trained = any(parameter.requires_grad for parameter in self.parameters())
        return super().train(mode and trained)

    def forward(
        self, features: Tensor, partner: Tensor, lam: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Return the mask of each pair.

        Args:
            features: (B,C,h,w) of the originals.
            partner: (B,C,h,w) of the partners.
            lam: (B,) in [0, 1], weight of the original.
            size: Height and width of the mask in pixels.

        Returns:
            (B,1,H,W) in [0, 1], weight of the original; float32, or float64 for a Mixer in float64.
            Its area is lam, but in the paper's form.

        Raises:
            ValueError: The features have another number of channels than the Mixer was made for.
        """
        with torch.autocast(features.device.type, enabled=False):  # which joins no float16
            return self.masks_among(torch.cat([features, partner]), None, lam, size)

    def masks_among(
        self, features: Tensor, places: Tensor | None, lam: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Return the mask of each pair of some images, each of which is looked at once.

        Args:
            features: (S,C,h,w) of the images.
            places: (2B,) int64, where all originals and then all partners are among them; None is
                the order in which they come.
            lam: As for :meth:`forward`.
            size: As for :meth:`forward`.

        Returns:
            As :meth:`forward`, and with its error.
        """
        self._check(features)
        lam = lam.to(self._dtype).view(-1, 1, 1)
        with torch.autocast(features.device.type, enabled=False):
            logit = self._logit(features, places, lam).view(-1, 1, *features.shape[2:])
            if self.options.start == "mixup":
                logit = _LIMIT * torch.tanh(logit / _LIMIT)
            logit = F.interpolate(logit, size, mode=self.options.upsample).flatten(2)
            if self.options.start == "mixup":
                logit = logit_with_mean(logit, lam)
            mask = torch.sigmoid(logit)
        extreme = torch.minimum(lam, 1.0 - lam) <= self.options.lam_margin
        return torch.where(extreme, lam, mask).view(-1, 1, *size)

    @torch.no_grad()
    def attention(self, features: Tensor, partner: Tensor, lam: Tensor) -> Tensor | None:
        """Return how much each place of the originals looks at each of the partners'.

        Args:
            features: (B,C,h,w) of the originals, N = h * w.
            partner: (B,C,h,w) of the partners.
            lam: (B,) in [0, 1], weight of the original.

        Returns:
            (B,N,N), rows sum to 1; None for the form without attention.
        """
        if not self.options.attends:
            return None
        self._check(features)
        lam = lam.to(self._dtype).view(-1, 1, 1)
        with torch.autocast(features.device.type, enabled=False):
            first, second = self._attending(torch.cat([features, partner]), None, lam)
            return pair_attention(*first.looks_at(second, self.query.bias, self.key.bias))

    @property
    def _dtype(self) -> torch.dtype:
        return self._first_value().weight.dtype

    def _check(self, features: Tensor) -> None:
        if features.shape[1] != self.channels:
            raise ValueError(
                f"features: expected {self.channels} channels as the Mixer was made for, got "
                f"{features.shape[1]}; is it the tap that it was trained on?"
            )

    def _logit(self, features: Tensor, places: Tensor | None, lam: Tensor) -> Tensor:
        """Return how much more each place of the original is worth, (B,1,N); lam is (B,1,1)."""
        if not self.options.attends:
            weight = self._first_value().weight.squeeze(2)
            (hidden,) = self._project(features, places, self._gain(lam), weight)
            own, other = self._worth(hidden).chunk(2)
            return own - other
        first, second = self._attending(features, places, lam)
        logit = -self._transport(first, second)
        if self.options.start == "paper":
            return logit
        return logit + self._transport(second, first)

    def _transport(self, looking: _Projected, seen: _Projected) -> Tensor:
        """Return ``attention(looking, seen) value(seen)``, (B,1,N)."""
        query, key = looking.looks_at(seen, self.query.bias, self.key.bias)
        return torch.bmm(self._worth(seen.hidden), pair_attention(query, key).transpose(1, 2))

    def _attending(
        self, features: Tensor, places: Tensor | None, lam: Tensor
    ) -> tuple[_Projected, _Projected]:
        """Return what the attention needs of both images."""
        weights = (
            *self.query.weight.squeeze(2).chunk(2, dim=1),
            *reversed(self.key.weight.squeeze(2).chunk(2, dim=1)),
            self._first_value().weight.squeeze(2),
        )
        both = self._project(features, places, self._gain(lam), *weights)
        first, second = zip(*(part.chunk(2) for part in both), strict=True)
        return _Projected(*first), _Projected(*second)

    def _gain(self, lam: Tensor) -> Tensor | None:
        """Return what lam multiplies the features of the originals and then of the partners with.

        (2B,1,1), or None for 1.
        """
        if not self.options.lam_embedding:
            return None
        scale = lam_polynomial(lam, self.options.lam_curve)
        return torch.cat([1.0 + scale, 2.0 - scale])

    def _first_value(self) -> nn.Conv1d:
        return cast("nn.Conv1d", self.value[0])

    def _worth(self, hidden: Tensor) -> Tensor:
        """Return the value (B,1,N) of what came out of the first layer of the value branch."""
        bias = self._first_value().bias
        hidden = hidden if bias is None else hidden + bias
        if self.options.start == "paper":
            return cast("Tensor", self.value[1:](hidden.transpose(1, 2)))
        if self.options.value == "nonlinear":  # in rows as they lie, without a copy
            last = cast("nn.Conv1d", self.value[-1])
            hidden = F.linear(F.elu(hidden), last.weight.squeeze(2))
        return hidden.transpose(1, 2)

    def _project(
        self, features: Tensor, places: Tensor | None, gain: Tensor | None, *weights: Tensor
    ) -> tuple[Tensor, ...]:
        """Return features, normalised per sample and times a gain, under several linear maps.

        The gain is a number per sample, hence follows the maps, which see each image once. The
        paper's form has no normalisation.

        Args:
            features: (S,C,h,w), N = h * w.
            places: (B,) int64, which of them are wanted; None is all of them.
            gain: (B,1,1), or None for 1.
            *weights: (M,C) each.

        Returns:
            (B,N,M) each.
        """
        weight = torch.cat(weights) if len(weights) > 1 else weights[0]
        tokens = features.to(weight.dtype).flatten(2).transpose(1, 2)
        if self.options.start != "paper":
            tokens = F.layer_norm(tokens, tokens.shape[1:], eps=_EPS)
        output = F.linear(tokens, weight)
        output = output if places is None else output.index_select(0, places)
        output = output if gain is None else output * gain
        if len(weights) == 1:
            return (output,)
        return torch.split_with_sizes(output, [part.shape[0] for part in weights], dim=2)


_LEAST = 1e-3  # bounds the wanted mean; below lam_margin a mask is constant anyway
_ROUNDS = 4  # of Newton's method; three are enough for logits within +-3
_LEAST_SLOPE = 1e-6  # of the mean over the shift, where all sigmoids are near 0 or 1
_BELOW_ONE = 1.0 - 2e-6  # keeps that slope above 0 whatever is lost to rounding


def logit_with_mean(logit: Tensor, mean: Tensor) -> Tensor:
    """Shift logits so that their sigmoids have a wanted mean over the last dimension.

    ``logit + c`` with ``mean(sigmoid(logit + c)) = mean``: c by Newton's method, from where it
    would be for flat logits. Changing the sign of the logits and ``mean`` to
    ``1 - mean`` changes the sign of c in every round, also before it has converged. The gradient by
    the logits is that of the implicit function c; ``mean`` has none.

    Args:
        logit: (B,1,N).
        mean: (B,1,1) in [0, 1]; values nearer to an end than 0.001 count as that.
    """
    moved: Tensor = _Shifted.apply(logit, mean.clamp(_LEAST, 1.0 - _LEAST))
    return moved


class _Shifted(torch.autograd.Function):
    """``logit + c`` for :func:`logit_with_mean`, with ``dc = -sum(s dlogit) / sum(s)``.

    Here s is the slope ``share (1 - share)`` of each sigmoid.
    """

    @staticmethod
    def forward(ctx: Any, logit: Tensor, mean: Tensor) -> Tensor:
        moved = logit + _find_shift(logit, mean)
        ctx.save_for_backward(moved)
        return moved

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None]:
        (moved,), (gradient,) = ctx.saved_tensors, outputs
        share = torch.sigmoid(moved)
        slope = torch.addcmul(share, share, share, value=-1.0)
        total = slope.sum(-1, keepdim=True).clamp_min(_LEAST_SLOPE * share.shape[-1])
        return torch.addcmul(
            gradient, slope, gradient.sum(-1, keepdim=True) / total, value=-1
        ), None


def _find_shift(logit: Tensor, mean: Tensor) -> Tensor:
    """Return the shift (B,1,1) that gives the sigmoids of logits a mean.

    Newton's method on ``g(c) = logit(mean(sigmoid(logit + c)))``, which is nearly a line: its slope
    ``mean(s (1 - s)) / (mean (1 - mean))`` is 1 for flat logits and never above.
    """
    wanted = torch.logit(mean)
    least, most = torch.aminmax(logit, dim=-1, keepdim=True)
    # at the ends of this bracket every sigmoid is at most, or at least, the wanted mean
    low, high = wanted - most, wanted - least
    shift = wanted - logit.mean(-1, keepdim=True)
    scale = -_BELOW_ONE / logit.shape[-1]
    for _ in range(_ROUNDS):
        share = torch.sigmoid(logit + shift)
        found = share.mean(-1, keepdim=True)
        length = torch.linalg.vector_norm(share, dim=-1, keepdim=True)
        slope = torch.addcmul(found, length, length, value=scale)
        flat = torch.addcmul(found, found, found, value=-1.0)
        apart = torch.logit(found, eps=_LEAST_SLOPE) - wanted
        shift = torch.addcdiv(shift, apart * flat, slope, value=-1.0).clamp(low, high)
    return shift
