"""A Mixer together with the frozen encoder that feeds it, saved and loaded as one folder."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .backbone import Tap, create_backbone, in_fast_format, tap_features
from .mixer import Mixer, MixerOptions

FORMAT = 1
"""Version of the folder; another one is refused."""
CONFIG, WEIGHTS = "config.json", "model.safetensors"
_EPS = 1e-5

_CARD = """\
---
{{ card_data }}
---

# A pre-trained Mixer for samix

A small network that computes how to mix two images, with the frozen encoder that feeds it. It
mixes any batch of images without labels and without training:

    policy = samix.create_policy("THIS FOLDER OR REPOSITORY")

Images are standardised one by one and looked at in a fixed size, so that masks do not depend on how
the images were normalised. How it was trained, on what, and under which licence stands in
`config.json` under `record`. The folder is read without running code; its checksum is verified.
"""


class PretrainedMixer(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="samix",
    license="apache-2.0",
    tags=["mixup", "data-augmentation"],
    model_card_template=_CARD,
):
    """A Mixer with the frozen encoder that feeds it (SAMix^P), always in eval mode.

    ``save_pretrained(folder)``, ``from_pretrained(folder or repository)`` and ``push_to_hub`` are
    those of huggingface_hub; a local folder needs no network.

    Args:
        encoder: ``backbone`` (a timm name), ``model_kwargs``, ``stem`` and ``image_size``.
        tap: Index into the encoder's ``feature_info``; what comes after it is left out.
        channels: Channels C of the feature map there.
        mixer: Fields of :class:`MixerOptions`.
        resolution: Height and width in pixels in which the encoder looks at any image.
        record: How it was trained: data, objective, date, seeds, licence.
        format: Version of the folder.
    """

    def __init__(
        self,
        *,
        encoder: dict[str, Any],
        tap: int,
        channels: int,
        mixer: dict[str, Any],
        resolution: int = 32,
        record: dict[str, Any] | None = None,
        format: int = FORMAT,
    ) -> None:
        super().__init__()
        if format != FORMAT:
            raise ValueError(
                f"format: expected {FORMAT}, which this version of samix reads, got {format}; "
                "install the version that wrote the folder"
            )
        self.tap, self.resolution, self.record = Tap(tap, channels), resolution, record or {}
        network = create_backbone(
            encoder["backbone"],
            num_classes=0,
            stem=encoder.get("stem"),
            image_size=encoder.get("image_size"),
            model_kwargs=encoder.get("model_kwargs"),
        )
        self.encoder = up_to_tap(network, self.tap)
        self.mixer = Mixer(channels, MixerOptions(**mixer))
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> PretrainedMixer:
        """Stay in eval mode: nothing here is trained."""
        return super().train(False)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Return what the Mixer reads, whatever the size and normalisation of the images.

        Args:
            images: (B,3,H,W) floating point.

        Returns:
            (B,C,h,w).
        """
        size = (self.resolution, self.resolution)
        small = F.interpolate(images.float(), size, mode="bilinear", antialias=True)
        return tap_features(self.encoder, in_fast_format(standardised(small)), self.tap)

    def forward(self, images: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
        """Return the mask of each pair.

        Args:
            images: (B,3,H,W) originals.
            partner: (B,3,H,W) partners.
            lam: (B,) in [0, 1], weight of the original.

        Returns:
            (B,1,H,W) float32 in [0, 1], weight of the original.
        """
        size = (images.shape[2], images.shape[3])
        mask: Tensor = self.mixer(self.features(images), self.features(partner), lam, size)
        return mask

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the weights, and their checksum beside them for the configuration."""
        tensors = {name: value.contiguous() for name, value in self.state_dict().items()}
        save_file(tensors, save_directory / WEIGHTS, metadata={"format": "pt"})
        self.record["sha256"] = _checksum(save_directory / WEIGHTS)
        self._hub_mixin_config["record"] = self.record  # type: ignore[index]

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **options: Any,
    ) -> PretrainedMixer:
        """Read a folder or a repository; only safetensors, never a pickle."""
        if Path(model_id).is_dir():
            file = Path(model_id) / WEIGHTS
        else:
            file = Path(
                hf_hub_download(
                    model_id,
                    WEIGHTS,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    token=token,
                    local_files_only=local_files_only,
                )
            )
        known = {k: v for k, v in options.items() if k not in ("map_location", "strict")}
        try:
            model = cls(**known)
        except TypeError as error:
            raise ValueError(f"'{model_id}' is no Mixer of samix: {error}") from error
        wanted = model.record.get("sha256")
        if not file.is_file() or _checksum(file) != wanted:
            raise ValueError(
                f"'{file}' is damaged or of another Mixer: its checksum is not that in {CONFIG}; "
                "fetch or export it again"
            )
        try:
            model.load_state_dict(load_file(file))
        except (RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise ValueError(f"'{file}' does not fit its {CONFIG} ({reason})") from error
        return model


def pretrained_mixer(
    encoder: nn.Module,
    mixer: Mixer,
    tap: Tap,
    *,
    make: Mapping[str, Any],
    resolution: int,
    record: Mapping[str, Any] | None = None,
) -> PretrainedMixer:
    """Return a frozen copy of a trained Mixer with the encoder that it was trained with.

    Args:
        encoder: A timm model; what comes after the tap is left out of the copy.
        mixer: The trained Mixer.
        tap: Where it reads the encoder.
        make: How the encoder is made: ``backbone``, ``model_kwargs``, ``stem``, ``image_size``.
        resolution: Height and width in pixels that it was trained with.
        record: How it was trained.
    """
    if tap.index is None:
        raise ValueError(
            "encoder: expected a timm model, which a folder can describe, got a module of one's own"
        )
    frozen = PretrainedMixer(
        encoder={**make, "model_kwargs": _plain(make.get("model_kwargs"))},
        tap=tap.index,
        channels=tap.channels,
        mixer=asdict(mixer.options),
        resolution=resolution,
        record=dict(record or {}),
    )
    kept = up_to_tap(copy.deepcopy(encoder), tap)
    frozen.encoder.load_state_dict(kept.state_dict())
    frozen.mixer.load_state_dict(mixer.state_dict())
    return frozen


def up_to_tap(model: nn.Module, tap: Tap) -> nn.Module:
    """Leave out of a timm model what comes after a tap, in place.

    Raises:
        ValueError: The model cannot be cut.
    """
    if not hasattr(model, "prune_intermediate_layers"):
        raise ValueError(
            "encoder: expected a timm model that can be cut (prune_intermediate_layers), got "
            f"{type(model).__name__}"
        )
    model.prune_intermediate_layers([tap.index], prune_norm=True, prune_head=True)  # type: ignore[operator]
    return model


def standardised(images: Tensor) -> Tensor:
    """Return images with mean 0 and deviation 1 in each channel of each image.

    Args:
        images: (B,3,H,W) floating point.
    """
    mean = images.mean((2, 3), keepdim=True)
    deviation = (images - mean).square().mean((2, 3), keepdim=True).sqrt()
    return (images - mean) / deviation.clamp_min(_EPS)


def is_pretrained_mixer(folder: str | Path) -> bool:
    """Say whether a folder holds a Mixer of this kind."""
    file = Path(folder) / CONFIG
    if not file.is_file():
        return False
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(content, dict) and {"encoder", "mixer", "tap"} <= set(content)


def _plain(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return arguments as JSON reads them back."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(values or {})))
    return plain


def _checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
