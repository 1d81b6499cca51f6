"""Features of a frozen encoder: computed once for each photo, and kept on disk.

A feature is found again by the content of its photo, the weights of the encoder and how the photo
is put into it. A photo that has changed is another photo, and its feature is computed anew. What a
feature took when it was computed is kept with it, so that its cost can be told when it is known.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from samix.data import ImageSet, View
from samix.data.reading import threaded
from samix.data.store import CACHE_BUDGET, photo_at
from samix.files import cache_folder, whole_file
from samix.networks import in_format, settle_format
from samix.progress import Announce

from .embeddings import Machine

_PHOTOS = 128  # that are read at once
_BATCH = 32  # images that the network sees at once
_READ = 8  # photos that a thread reads at once
_SHARD = 1024  # features that a file of the cache begins with being written


@dataclass(frozen=True)
class Features:
    """Features of photos by a frozen encoder."""

    plain: Tensor  # (N,D) float32 of the photos as they are
    flipped: Tensor  # (M,D) float32 of the photos that were asked for mirrored
    seconds: Tensor  # (N+M,) wall time that each took when it was computed, now or earlier
    computed: int  # how many of the N + M were computed; the others were in the cache


class FrozenEncoder:
    """A timm classifier whose features before its last layer are read, and nothing is changed."""

    def __init__(self, network: nn.Module, view: View, machine: Machine) -> None:
        self.network = network.eval()
        self.view = view
        self.machine = machine
        self.channels_last = settle_format(network)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return the (B,D) float32 features of (B,3,S,S) normalised images, on the CPU."""
        at = in_format(images.to(self.machine.device), self.channels_last)
        with self.machine.precision():
            last = self.network.forward_features(at)  # type: ignore[operator]
            found = self.network.forward_head(last, pre_logits=True)  # type: ignore[operator]
        return cast("Tensor", found).float().cpu()

    def checksum(self, leave_out: tuple[str, ...]) -> str:
        """Return what tells the features apart from those of other weights, sizes and precisions.

        Weights whose names begin with ``leave_out`` do not count.
        """
        digest = hashlib.sha256(f"{self.view!r} {self.machine.autocast}".encode())
        for name, value in sorted(self.network.state_dict().items()):
            if not name.startswith(leave_out):
                digest.update(name.encode())
                digest.update(value.detach().cpu().contiguous().view(-1).numpy().tobytes())
        return digest.hexdigest()[:32]


def frozen_features(
    encoder: FrozenEncoder,
    images: ImageSet,
    plain: Sequence[int],
    flipped: Sequence[int] = (),
    *,
    leave_out: tuple[str, ...] = (),
    cache: Path | None = None,
    announce: Announce | None = None,
) -> Features:
    """Return the features of photos as they are and mirrored, from the cache where known."""
    top = cache_folder() / "features" if cache is None else cache
    folder = top / encoder.checksum(leave_out)
    at = sorted({*plain, *flipped})
    held: dict[int, Tensor] = {}
    content = dict(zip(at, _contents(images, at, encoder.view, held), strict=True))
    wanted = [(i, False) for i in plain] + [(i, True) for i in flipped]
    names = [_name(content[i], flip) for i, flip in wanted]
    found = _known(folder, set(names))
    missing = sorted({pair for pair, name in zip(wanted, names, strict=True) if name not in found})
    fresh: dict[bytes, Tensor] = {}
    begin = time.monotonic()
    for number, (i, flip, feature) in enumerate(_computed(encoder, images, missing, held)):
        fresh[_name(content[i], flip)] = feature
        if announce is not None and not (number + 1) % _BATCH:
            announce("features of photos", number + 1, len(missing))
        if len(fresh) == _SHARD or number + 1 == len(missing):
            taken, begin = time.monotonic() - begin, time.monotonic()
            found |= _keep(folder, fresh, taken / len(fresh))
            fresh = {}
    rows = [found[name] for name in names]
    whole = torch.stack([feature for feature, _ in rows]) if rows else torch.zeros(0, 0)
    seconds = torch.tensor([seconds for _, seconds in rows])
    return Features(whole[: len(plain)], whole[len(plain) :], seconds, len(missing))


def _contents(
    images: ImageSet, at: Sequence[int], view: View, held: dict[int, Tensor]
) -> Iterator[bytes]:
    """Yield the checksum of each photo as it is stored, or of its pixels where it is not.

    Pixels that are read for it are put into ``held`` where those of all photos fit into memory.
    """
    fit = len(at) * 3 * view.load_size**2 <= CACHE_BUDGET

    def one(number: int) -> bytes:
        index = at[number]
        stored = b"" if images.encoded is None else images.encoded(index)
        if not stored:
            photo = photo_at(images, index, view.load_size)
            if fit:
                held[index] = photo
            stored = photo.numpy().tobytes()
        return hashlib.sha256(stored + repr(images.depth).encode()).digest()

    yield from threaded(one, len(at))


def _name(content: bytes, flip: bool) -> bytes:
    return hashlib.sha256(content + b"mirrored").digest() if flip else content


def _computed(
    encoder: FrozenEncoder,
    images: ImageSet,
    wanted: Sequence[tuple[int, bool]],
    held: Mapping[int, Tensor],
) -> Iterator[tuple[int, bool, Tensor]]:
    """Yield position, whether it is mirrored, and the (D,) feature of each photo that is wanted."""
    view = encoder.view
    for start in range(0, len(wanted), _PHOTOS):
        part = wanted[start : start + _PHOTOS]
        at = sorted({i for i, _ in part})
        photos = dict(zip(at, _stored(images, at, view, held), strict=True))
        for begin in range(0, len(part), _BATCH):
            some = part[begin : begin + _BATCH]
            stored = torch.stack([photos[i].flip(2) if flip else photos[i] for i, flip in some])
            found = encoder(view(stored, np.zeros(len(some), dtype=np.uint64)))
            for (i, flip), feature in zip(some, found, strict=True):
                yield i, flip, feature


def _stored(
    images: ImageSet, at: Sequence[int], view: View, held: Mapping[int, Tensor]
) -> list[Tensor]:
    def one(number: int) -> Tensor:
        if (photo := held.get(at[number])) is not None:
            return photo
        return photo_at(images, at[number], view.load_size)

    return list(threaded(one, len(at), chunk=_READ))


_Kept = dict[bytes, tuple[Tensor, float]]
"""By the name of a feature: it, and the seconds that it took."""


def _known(folder: Path, wanted: set[bytes]) -> _Kept:
    """Return the wanted features that the cache has; a damaged file of it is as none."""
    found: _Kept = {}
    for file in sorted(folder.glob("*.safetensors")):
        with (
            contextlib.suppress(SafetensorError, OSError, KeyError),
            safe_open(file, framework="pt") as opened,
        ):
            names = [row.tobytes() for row in opened.get_tensor("photo").numpy()]
            rows = [(n, name) for n, name in enumerate(names) if name in wanted]
            if rows:
                features, seconds = opened.get_tensor("features"), opened.get_tensor("seconds")
                found |= {name: (features[n], seconds.item()) for n, name in rows}
    return found


def _keep(folder: Path, features: Mapping[bytes, Tensor], seconds: float) -> _Kept:
    """Write features that took so many seconds each into a new file of the cache; return them.

    Where the file cannot be written they are computed again another time.
    """
    names = torch.from_numpy(np.frombuffer(b"".join(features), dtype=np.uint8).copy())
    file = hashlib.sha256(names.numpy().tobytes()).hexdigest()[:32]
    tensors = {
        "photo": names.view(len(features), -1),
        "features": torch.stack([*features.values()]),
        "seconds": torch.tensor(seconds),
    }
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / f"{file}.safetensors") as partial:
            partial.write_bytes(save(tensors))
    return {name: (feature, seconds) for name, feature in features.items()}
