"""The Mixer: a small network that computes how to mix two images.

Source: SAMix, arXiv 2111.15454, section 4 (mixing attention with content modelling), after AutoMix,
arXiv 2103.13027.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPS = 1e-5  # of the normalisation, as in torch's norms
_LAST_GAIN = 0.3  # of the last layer: structure from the first step, but little
_LAM_EPS = 1e-3  # bounds the wanted mean; below lam_margin the mask is constant anyway
_ROUNDS, _SHIFTS = 4, 12  # of the search for a shift; 12^4 parts of the first bracket
_LEAST_SLOPE = 1e-2  # of the mean over the shift, where all sigmoids are near 0 or 1


@dataclass(frozen=True)
class MixerOptions:
    """What can be chosen about a Mixer.

    Attributes:
        start: "mixup" starts close to a constant mask of lam and learns to depart from it; "paper"
            is the form of the paper and its public implementation: batch norm in the value branch,
            weights from N(0, 0.01), lam only as a scaling of the features.
        value: "nonlinear" (SAMix) or "linear" (AutoMix).
        lam_embedding: Scale the features by lam (1 + r(lam)).
        lam_curve: k of the polynomial r, or None for r(lam) = lam.
        upsample: "bilinear" or "nearest".
        lam_margin: Where lam or 1 - lam is at most this, the mask is constant.
    """

    start: Literal["mixup", "paper"] = "mixup"
    value: Literal["nonlinear", "linear"] = "nonlinear"
    lam_embedding: bool = True
    lam_curve: float | None = 0.25
    upsample: Literal["bilinear", "nearest"] = "bilinear"
    lam_margin: float = 0.08

    def __post_init__(self) -> None:
        choices = {
            "start": ("mixup", "paper"),
            "value": ("nonlinear", "linear"),
            "upsample": ("bilinear", "nearest"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: expected one of {allowed}, got {getattr(self, name)!r}")
        for name in ("lam_margin", "lam_curve"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, int | float):
                raise TypeError(f"{name}: expected a number, got {value!r}")
        if self.lam_curve is not None and not self.lam_curve > -1 / 3:
            raise ValueError(f"lam_curve: expected a number above -1/3, got {self.lam_curve}")
        if not 0.0 <= self.lam_margin < 0.5:
            raise ValueError(f"lam_margin: expected a number in [0, 0.5), got {self.lam_margin}")


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
    return (4 / 3 * lam**3 - 2 * lam**2 + (k + 1) * lam) / (k + 1 / 3)


def logit_with_mean(logit: Tensor, mean: Tensor) -> Tensor:
    """Shift logits so that their sigmoids have a wanted mean over the last dimension.

    ``logit + c`` with ``mean(sigmoid(logit + c)) = mean``: c by search without gradient, in rounds
    that try some shifts of a bracket at once and keep a part of it, then one Newton step, which
    carries the gradient of the implicit function.

    Args:
        logit: (B,1,N).
        mean: (B,1,1) in [0, 1]; values nearer to an end than 0.001 count as that.
    """
    mean = mean.clamp(_LAM_EPS, 1.0 - _LAM_EPS)
    with torch.no_grad():
        # at the ends of this bracket every sigmoid is at most, or at least, the wanted mean
        wanted = torch.logit(mean)
        low = wanted - logit.amax(dim=-1, keepdim=True)
        width = wanted - logit.amin(dim=-1, keepdim=True) - low
        tried = torch.arange(1, _SHIFTS, dtype=logit.dtype, device=logit.device).view(1, -1, 1)
        for _ in range(_ROUNDS):
            width = width / _SHIFTS
            shifted = torch.addcmul(low, width, tried) + logit
            found = shifted.sigmoid_().mean(dim=-1, keepdim=True)
            low = low + width * (found < mean).sum(1, keepdim=True)
        shift = low + width / 2
    share = torch.sigmoid(logit + shift)
    slope = (share * (1.0 - share)).mean(dim=-1, keepdim=True).detach().clamp_min(_LEAST_SLOPE)
    return logit + shift - (share.mean(dim=-1, keepdim=True) - mean) / slope


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


def _wide(values: Tensor) -> Tensor:
    """Return values of low precision as float32."""
    return values if values.dtype.itemsize >= 4 else values.float()


class Mixer(nn.Module):
    """Computes the mask of a pair from the features of both images and lam.

    ``mask = 1 - sigmoid(up(attention(original, partner) value(partner) + c))``. The query and the
    key each see both images, the value describes the partner, as in the public implementation,
    which likewise computes the partner's mask first. c makes the area lam.

    Deviations from the paper, because a Mixer of its form did not come alive in 750 steps (see
    ``MixerOptions.start`` for that form): features are normalised per sample, with no statistics of
    the batch; lam enters after that; the logits of the mask are shifted until its area (before the
    upsampling) is lam, so that the Mixer starts as mixup and decides about structure, not area.

    Args:
        channels: Channels C of the feature map.
        options: See :class:`MixerOptions`.
    """

    def __init__(self, channels: int, options: MixerOptions | None = None) -> None:
        super().__init__()
        self.channels = channels
        self.options = options or MixerOptions()
        width = max(channels // 2, 1)
        self.query = nn.Conv1d(2 * channels, width, 1)
        self.key = nn.Conv1d(2 * channels, width, 1)
        self.value = self._value_branch(width)
        self._initialise()

    def _value_branch(self, width: int) -> nn.Sequential:
        if self.options.value == "linear":
            return nn.Sequential(nn.Conv1d(self.channels, 1, 1))
        paper = self.options.start == "paper"
        norm = [nn.BatchNorm1d(width)] if paper else []
        return nn.Sequential(
            nn.Conv1d(self.channels, width, 1), *norm, nn.ELU(), nn.Conv1d(width, 1, 1)
        )

    def _initialise(self) -> None:
        layers = [module for module in self.modules() if isinstance(module, nn.Conv1d)]
        for layer in layers:
            if self.options.start == "paper":
                nn.init.normal_(layer.weight, std=0.01)
            else:
                nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(cast(Tensor, layer.bias))
        if self.options.start == "mixup":
            nn.init.xavier_uniform_(layers[-1].weight, gain=_LAST_GAIN)

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
            (B,1,H,W) in [0, 1], weight of the original; float32, float64 for float64 features.
        """
        lam = lam.to(_wide(features).dtype).view(-1, 1, 1, 1)
        with torch.autocast(features.device.type, enabled=False):
            attention, value = self.attend(features, partner, lam)
            logit = torch.bmm(value, attention.transpose(1, 2))
            if self.options.start == "mixup":
                logit = logit_with_mean(logit, 1.0 - lam.flatten(1).unsqueeze(2))
            logit = logit.view(-1, 1, *features.shape[2:])
            logit = F.interpolate(logit, size, mode=self.options.upsample)
            mask = 1.0 - torch.sigmoid(logit)
        extreme = torch.minimum(lam, 1.0 - lam) <= self.options.lam_margin
        return torch.where(extreme, lam, mask)

    def attend(self, features: Tensor, partner: Tensor, lam: Tensor) -> tuple[Tensor, Tensor]:
        """Return the attention (B,N,N) of original on partner and the partner's value (B,1,N).

        Args:
            features: (B,C,h,w) of the originals, N = h * w.
            partner: (B,C,h,w) of the partners.
            lam: (B,1,1,1) float32.
        """
        if features.shape[1] != self.channels:
            raise ValueError(
                f"features: expected {self.channels} channels as the Mixer was made for, got "
                f"{features.shape[1]}; is it the tap that it was trained on?"
            )
        first_gain: float | Tensor = 1.0
        second_gain: float | Tensor = 1.0
        if self.options.lam_embedding:
            scale = lam_polynomial(lam.flatten(1).unsqueeze(1), self.options.lam_curve)
            first_gain, second_gain = 1.0 + scale, 2.0 - scale
        query_of_first, query_of_second = self.query.weight.squeeze(2).chunk(2, dim=1)
        key_of_second, key_of_first = self.key.weight.squeeze(2).chunk(2, dim=1)
        value = cast(nn.Conv1d, self.value[0])
        query, key = self._project(features, first_gain, query_of_first, key_of_first)
        more_query, more_key, hidden = self._project(
            partner, second_gain, query_of_second, key_of_second, value.weight.squeeze(2)
        )
        query = query + more_query + cast(Tensor, self.query.bias)
        key = key + more_key + cast(Tensor, self.key.bias)
        hidden = (hidden + cast(Tensor, value.bias)).transpose(1, 2)
        return pair_attention(query.transpose(1, 2), key.transpose(1, 2)), self.value[1:](hidden)

    def _project(
        self, features: Tensor, gain: float | Tensor, *weights: Tensor
    ) -> tuple[Tensor, ...]:
        """Return features, normalised per sample and times a gain, under several linear maps.

        Normalisation and gain are numbers per sample, hence follow the maps, and no normalised copy
        of the features is made: ``W (x - mean) / deviation = (W x - mean W 1) / deviation``. The
        paper's form has no normalisation.

        Args:
            features: (B,C,h,w), N = h * w.
            gain: (B,1,1) or a number.
            *weights: (M,C) each.

        Returns:
            (B,N,M) each.
        """
        tokens = _wide(features).flatten(2).transpose(1, 2)
        weight = torch.cat(weights)
        output = F.linear(tokens, weight)
        if self.options.start != "paper":
            variance, mean = torch.var_mean(tokens, dim=(1, 2), correction=0, keepdim=True)
            output = (output - mean * weight.sum(1)) * (gain * (variance + _EPS).rsqrt())
        else:
            output = output * gain
        sizes = [part.shape[0] for part in weights]
        return torch.split_with_sizes(output, sizes, dim=2)
