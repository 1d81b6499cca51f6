"""A Mixer together with the frozen encoder that feeds it: made, saved, found and loaded.

A folder holds one. The package brings some with it; others come from a path or a repository.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from huggingface_hub import ModelCard, ModelCardData, PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from samix.errors import nearest

from .backbone import (
    Tap,
    create_backbone,
    in_format,
    settle_format,
    standardised,
    tap_features,
    up_to_tap,
)
from .described import built_small
from .mixer import Mixer, MixerOptions
from .mixer_card import (
    CONFIG,
    TOLERANCE,
    card_text,
    check_configuration,
    distance,
    is_pretrained_mixer,
    is_repository,
    licence_of,
    made_with,
    probe_masks,
    read_configuration,
)

FORMAT = 2  # version of the folder; another one is refused
WEIGHTS = "model.safetensors"
_TAGS = ("data-augmentation", "mixup", "samix")


class PretrainedMixer(nn.Module, PyTorchModelHubMixin, library_name="samix", tags=[*_TAGS]):
    """A Mixer with the frozen encoder that feeds it (SAMix^P), always in eval mode.

    ``save_pretrained(folder)``, ``from_pretrained(folder or repository)`` and ``push_to_hub`` are
    those of huggingface_hub; a local folder needs no network. Loading refuses a folder of another
    version, with other shapes or another checksum, and one whose compatibility test fails. Of the
    encoder only a plain timm name and options that can do no harm are taken, see
    :func:`samix.networks.described.check_model_options`.

    Weights stay in the precision that they have when the module is cast to a lower one: a mask
    needs the digits.

    Args:
        encoder: ``backbone`` (a timm name), ``model_kwargs``, ``stem`` and ``image_size``.
        tap: Index into the encoder's ``feature_info``; what comes after it is left out.
        channels: Channels C of the feature map there.
        mixer: Fields of :class:`MixerOptions`.
        resolution: Height and width in pixels in which the encoder looks at any image.
        record: How it was trained, as plain values. The card knows ``data`` (what was learned
            from), ``labels``, ``objective``, ``length``, ``seeds``, ``date``, ``licence``,
            ``made_with`` (versions by package), ``life`` (numbers by name), ``sees`` (sentences
            on what it shows of known objects) and ``remarks``;
            ``alpha`` is the default of the policy.
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
        check_configuration(
            {"encoder": encoder, "tap": tap, "channels": channels, "mixer": mixer,
             "resolution": resolution, "record": record}
        )  # fmt: skip
        self.tap, self.resolution, self.record = Tap(tap, channels), resolution, record or {}
        network = create_backbone(
            encoder["backbone"],
            num_classes=0,
            stem=encoder.get("stem"),
            image_size=encoder.get("image_size"),
            model_kwargs=encoder.get("model_kwargs"),
        )
        self.encoder = up_to_tap(network, self.tap)
        self.channels_last = settle_format(self.encoder)
        self.mixer = Mixer(channels, MixerOptions(**mixer))
        for part in (self.encoder, self.mixer):  # also where another default precision is set
            nn.Module._apply(part, _in_float32)  # type: ignore[no-untyped-call]
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> PretrainedMixer:
        """Stay in eval mode: nothing here is trained."""
        return super().train(False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PretrainedMixer:
        """Move to a device, but never to another precision."""

        def moved(value: Tensor) -> Tensor:
            new = fn(value)
            return new if new.dtype == value.dtype else value.to(new.device)

        super()._apply(moved, recurse)  # type: ignore[no-untyped-call]
        return self

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Return what the Mixer reads, whatever the size and normalisation of the images.

        Args:
            images: (B,3,H,W) floating point.

        Returns:
            (B,C,h,w).

        Raises:
            ValueError: The images have another number of channels.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(
                f"images: expected (B,3,H,W) for a pre-trained Mixer, got {tuple(images.shape)}; "
                "grey images can be given as images.expand(-1, 3, -1, -1)"
            )
        size = (self.resolution, self.resolution)
        small = F.interpolate(images.float(), size, mode="bilinear", antialias=True)
        images = in_format(standardised(small), self.channels_last)
        return tap_features(self.encoder, images, self.tap)

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

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """Return the card, with all that the configuration says about the training."""
        data = ModelCardData(license=licence_of(self.record), library_name="samix", tags=[*_TAGS])
        text = card_text(self.config, sum(p.numel() for p in self.parameters()))
        return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}")

    @property
    def config(self) -> dict[str, Any]:
        """What config.json holds."""
        return {**dict(self._hub_mixin_config or {}), "record": self.record}  # type: ignore[arg-type]

    def compatibility(self) -> float:
        """Return how far the masks of the compatibility test are from the stored ones.

        Returns:
            Largest difference, at least 0; infinite where none are stored.
        """
        device = next(self.parameters()).device
        return distance(probe_masks(self, device), self.record.get("compatibility"))

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the weights; their checksum and the compatibility test are for the configuration.

        ``save_pretrained`` then writes the configuration and the card.
        """
        tensors = {name: value.contiguous() for name, value in self.state_dict().items()}
        weights = save_directory / WEIGHTS
        weights.write_bytes(save(tensors, {"format": "pt"}))  # as the umask says, unlike save_file
        self.record["sha256"] = checksum(weights)
        self.record["compatibility"] = probe_masks(self, next(self.parameters()).device)
        self._hub_mixin_config = self.config

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, **options: Any
    ) -> PretrainedMixer:
        """Load a Mixer; see the class.

        Args:
            pretrained_model_name_or_path: A folder, or the "owner/name" of a repository.
            **options: As huggingface_hub takes them, such as ``revision``.

        Raises:
            ValueError: The source holds no Mixer, or one that cannot be used here.
        """
        source = str(pretrained_model_name_or_path)
        if Path(source).is_dir() and not read_configuration(source):
            raise ValueError(f"'{source}' is no Mixer of samix: it has no {CONFIG} of one")
        try:
            return super().from_pretrained(source, **options)
        except (RecursionError, TypeError, AttributeError) as error:
            raise ValueError(f"'{source}' is no Mixer of samix: {error}") from error

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
            check_configuration(known)
        except ValueError as error:
            raise ValueError(f"'{model_id}' is no Mixer of samix: {error}") from error
        wanted = (known.get("record") or {}).get("sha256")
        if not file.is_file() or checksum(file) != wanted:
            raise ValueError(
                f"'{file}' is damaged or of another Mixer: its checksum is not that in {CONFIG}; "
                "fetch or export it again"
            )
        model = built_small(lambda: cls(**known), f"'{model_id}' is no Mixer of samix: it", file)
        model._fill(file)
        return model

    def _fill(self, file: Path) -> None:
        """Load weights that belong to the configuration.

        Raises:
            ValueError: They do not, or the masks that they give are not those that are stored.
        """
        try:
            self.load_state_dict(load_file(file))
        except (RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise ValueError(f"'{file}' does not fit its {CONFIG} ({reason})") from error
        if not (apart := self.compatibility()) <= TOLERANCE:
            raise ValueError(
                f"'{file}' fails its compatibility test: masks differ by {apart:.2g} from those in "
                f"{CONFIG}, at most {TOLERANCE} is allowed; install the versions that it was made "
                f"with ({made_with(self.record)}), or export it again"
            )


def _in_float32(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def checksum(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


DEFAULT_MIXER = "natural"
"""The built-in Mixer that is taken where none is named."""
_PACKAGE = "samix.mixers"


def built_in_mixers() -> dict[str, Path]:
    """Return the folders of the Mixers in this package by name, the default first."""
    root = Path(str(files(_PACKAGE)))
    names = sorted(path.name for path in root.iterdir() if is_pretrained_mixer(path))
    names.sort(key=lambda name: name != DEFAULT_MIXER)
    return {name: root / name for name in names}


def open_mixer(source: str | Path | None = None) -> PretrainedMixer:
    """Open a pre-trained Mixer.

    Args:
        source: Name of one in this package, folder of :meth:`PretrainedMixer.save_pretrained`, or
            "owner/name" of a repository on the Hugging Face hub; None takes the default one of this
            package.

    Raises:
        ValueError: No Mixer has this name; or its file is damaged, of another version, or no Mixer;
            or the repository cannot be fetched.
    """
    name = str(DEFAULT_MIXER if source is None else source)
    built_in = built_in_mixers()
    if name in built_in:
        return PretrainedMixer.from_pretrained(str(built_in[name]))
    folder = Path(name).expanduser()
    if folder.exists():
        if not is_pretrained_mixer(folder):
            raise ValueError(
                f"'{name}' holds no pre-trained Mixer (a {CONFIG} of one); give a folder that "
                "samix mixer export or save_pretrained has written"
            )
        return PretrainedMixer.from_pretrained(str(folder))
    if not is_repository(name):
        raise ValueError(
            f"mixer: expected one of {', '.join(built_in)}, a folder, or the owner/name of a "
            f"repository, got '{name}'; the nearest is '{nearest(name, built_in)}'"
        )
    try:
        return PretrainedMixer.from_pretrained(name)
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"'{name}' is no folder of a pre-trained Mixer, and no such repository can be fetched "
            f"({reason})"
        ) from error


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
        record: How it was trained, see :class:`PretrainedMixer`; date and versions are filled in.
    """
    if tap.index is None:
        raise ValueError(
            "encoder: expected a timm model, which a folder can describe, got a module of one's own"
        )
    today = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "made_with": {"torch": str(torch.__version__), "timm": timm.__version__},
    }
    plain = json.loads(json.dumps(dict(make.get("model_kwargs") or {})))  # as JSON reads it back
    frozen = PretrainedMixer(
        encoder={**make, "model_kwargs": plain},
        tap=tap.index,
        channels=tap.channels,
        mixer=asdict(mixer.options),
        resolution=resolution,
        record={**today, **(record or {})},
    )
    kept = up_to_tap(copy.deepcopy(encoder), tap)
    frozen.encoder.load_state_dict(kept.state_dict())
    frozen.mixer.load_state_dict(mixer.state_dict())
    return frozen
