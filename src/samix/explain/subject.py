"""What is explained: the network of a run, how it mixes, and how it sees photos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samix.data import ImageSet, open_images
from samix.data.beginning import then_notes
from samix.data.image_set import NO_LABEL
from samix.data.reading import threaded
from samix.data.splits import read_table
from samix.data.store import defect_at, photo_at
from samix.data.views import Channels
from samix.errors import InputError
from samix.evaluation.seen import seen_by
from samix.methods import RIVALS, scaled
from samix.methods.mix_step import look
from samix.methods.step import find_cost
from samix.networks import (
    MomentumEncoder,
    Tap,
    in_format,
    put_weights,
    settle_format,
    standardised,
    tap_features,
)
from samix.networks.described import create_described, described_mixer
from samix.pages.words import Words, both, word
from samix.policies import Evidence, LearnedPolicy, Policy, create_policy
from samix.progress import Display, Progress, Said
from samix.training.config import FROZEN, RunConfig
from samix.training.run_folder import AVERAGE, MIXER, WEIGHTS
from samix.training.warm_start import (
    ARCHITECTURE,
    RunSource,
    data_of,
    joined,
    open_source,
    open_sources,
)


@dataclass(frozen=True)
class RunNetwork:
    """The network and the policy of a finished run, in eval mode."""

    name: str  # of the run's folder
    path: Path  # the run's folder
    network: nn.Module  # from (B,3,H,W) to (B,K) logits, or (B,D) embeddings without classes
    classes: tuple[str, ...]  # of the K logits in order; empty for a network without classifier
    image_size: int  # side of the network's input in px
    channels: tuple[Channels, Channels]  # mean and std, for values in [0, 1]
    standardise: bool  # photos are standardised one by one instead
    policy: Policy  # how the run mixed
    average: nn.Module | None  # the momentum encoder that a learned policy reads
    tap: Tap | None  # where it is read
    look_scale: float  # share of the side in which the momentum encoder looked
    guarded: bool  # whether a guard repaired mixes while the run learned
    description: Mapping[str, Any]  # plain values for the record

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @cached_property
    def channels_last(self) -> bool:
        """The format in which the network and its average take photos on the CPU."""
        return settle_format(self.network)

    @property
    def mixes_by_looking(self) -> bool:
        """Whether masks come from a Mixer, which looks at the photos."""
        return self.policy.mixer is not None

    def to(self, device: str) -> RunNetwork:
        """Move all networks to a device, in place."""
        for part in (self.network, self.average, self.policy):
            if isinstance(part, nn.Module):
                part.to(device)
        return self

    def look(self, photos: Tensor) -> Tensor:
        """Return photos (B,3,S,S) in [0, 1] as the network sees them, on its device."""
        photos = photos.to(self.device)
        if self.standardise:
            return standardised(photos)
        mean, std = (photos.new_tensor(values).view(3, 1, 1) for values in self.channels)
        return (photos - mean) / std

    @torch.no_grad()
    def ask(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return (B,D) embeddings of unit norm and (B,K) probabilities, None without classes."""
        network = cast("Any", self.network)
        features = network.forward_features(in_format(images, self.channels_last))
        embedding = F.normalize(network.forward_head(features, pre_logits=True).float(), dim=1)
        if not self.classes:
            return embedding, None
        return embedding, network.forward_head(features).float().softmax(1)

    @torch.no_grad()
    def evidence(self, images: Tensor, target: Tensor | None = None) -> Evidence:
        """Return what the policy knows about some images beyond their pixels.

        A Mixer reads the momentum encoder of the run. What a rule reads is asked of the run's
        network as it is at the end; so are the (B,) classes where the target is None.
        """
        needs = self.policy.traits.needs
        if "features" in needs and self.average is not None and self.tap is not None:
            looked_at = in_format(scaled(images, self.look_scale), self.channels_last)
            return Evidence(features=tap_features(self.average, looked_at, self.tap))
        if not needs:
            return Evidence()
        if target is None:
            seen = self.ask(images)[1]
            target = None if seen is None else seen.argmax(1)
        return look(MomentumEncoder(self.network), images, target, wanted=needs)


def open_network(path: str | Path) -> tuple[RunNetwork, RunSource]:
    """Open a finished run of `samix train` or `samix pretrain`.

    Returns:
        What is explained, and the run.

    Raises:
        InputError: It is no run, is not finished, or its files do not fit together.
    """
    source = open_source(path, "RUN")
    model = source.model
    try:
        classes = tuple(model["classes"] or ())
        network = _network(source, len(classes))
        put_weights(network, source.weights(WEIGHTS), f"'{source.run.path / WEIGHTS}'", whole=True)
        policy, average, tap = _mixing(source)
        channels = tuple(model["mean"]), tuple(model["std"])
        size = int(model["image_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the run '{path}' cannot be read ({' '.join(str(error).split())}); train it again"
        ) from error
    if not (hasattr(network, "forward_features") and hasattr(network, "forward_head")):
        raise InputError(
            f"{source.name} has the backbone {source.model['backbone']}, whose features cannot be "
            "asked for (no forward_features of timm); explain a run of another backbone"
        )
    description = {
        "run": str(path),
        **{name: model[name] for name in (*ARCHITECTURE, "method", "policy", "kind")},
    }
    return RunNetwork(
        name=source.run.path.resolve().name,
        path=source.run.path,
        network=network,
        classes=classes,
        image_size=size,
        channels=cast("tuple[Channels, Channels]", channels),
        standardise=bool(model.get("standardise")),
        policy=policy,
        average=average,
        tap=tap,
        look_scale=find_cost(source.config.cost).look_scale,
        guarded=source.config.guard is not None,
        description=description,
    ), source


def _network(source: RunSource, classes: int) -> nn.Module:
    """Return the run's network with fresh weights; the global random state stays as it is."""
    weights = source.run.path / WEIGHTS
    return create_described(source.model, num_classes=classes, weights=weights).eval()


def _mixing(source: RunSource) -> tuple[Policy, nn.Module | None, Tap | None]:
    made = source.model.get("mixer")
    if made is None:
        name, options = source.config.policy, dict(source.config.policy_options)
        if name == FROZEN:
            name = "none"
        if name in RIVALS:
            options = {**RIVALS[name].policy_options, **options}
            name = RIVALS[name].policy
        return create_policy(name, **options), None, None
    mixer = described_mixer(made["channels"], made["options"], source.run.path / MIXER).eval()
    try:
        mixer.load_state_dict(source.weights(MIXER))
    except RuntimeError as error:
        raise ValueError(f"{MIXER} does not fit: {str(error).splitlines()[-1].strip()}") from error
    average = _network(source, 0)
    file = source.run.path / AVERAGE
    put_weights(average, source.weights(AVERAGE), f"'{file}'", whole=True)
    mixer.requires_grad_(False)
    policy = LearnedPolicy(mixer, alpha=made["alpha"], name=source.model["policy"])
    return policy, average.requires_grad_(False), Tap(made["tap"], made["channels"])


PARTS = ("train", "val", "test")
_READ_AT = 128


@dataclass(frozen=True)
class RunPhotos:
    """Photos by position, in the parts of a run."""

    images: ImageSet  # all photos of the data
    classes: tuple[str, ...]  # of the run's classifier, or of the data; empty without labels
    targets: tuple[int, ...]  # one position in ``classes`` a photo; -1 where there is no label
    parts: Mapping[str, tuple[int, ...]]  # positions by part, ascending
    size: int  # side in px that photos are looked at in
    notes: tuple[Words, ...]  # sentences for the user

    def load(self, positions: Sequence[int]) -> Tensor:
        """Return the (B,3,S,S) photos at some positions, in [0, 1]."""
        if not len(positions):
            return torch.empty(0, 3, self.size, self.size)
        read = threaded(
            lambda at: photo_at(self.images, positions[at], self.size), len(positions), None
        )
        return torch.stack(list(read)).float() / 255

    def batches(self, positions: Sequence[int]) -> Iterator[Tensor]:
        """Yield the photos at some positions in batches."""
        for start in range(0, len(positions), _READ_AT):
            yield self.load(positions[start : start + _READ_AT])

    def target(self, positions: Sequence[int]) -> Tensor:
        """Return the (B,) int64 classes of some photos."""
        return torch.tensor([self.targets[i] for i in positions], dtype=torch.int64)

    def defect(self, position: int) -> Tensor | None:
        """Return the (1,S,S) share of defect in each pixel; None where no defect is marked."""
        mask = defect_at(self.images, position, self.size)
        return mask if mask is not None and bool(mask.any()) else None

    def name(self, position: int) -> str:
        """Return the class name of a photo, empty where there is none."""
        target = self.targets[position]
        return self.classes[target] if target >= 0 else ""


def open_photos(
    subject: RunNetwork,
    source: RunSource,
    *,
    data: str | None = None,
    root: str | None = None,
    download: bool = False,
    skip_corrupt: bool = False,
    max_megapixels: int | None = None,
    labels: str | None = None,
    label_column: str | None = None,
    progress: Progress | None = None,
) -> RunPhotos:
    """Open the photos of a run, each in the part that the run had it in.

    What is None is as in the run. ``data`` says where the photos are now, and the other options are
    those of :func:`samix.data.open_images`.

    Raises:
        InputError: The data is not there, is not that of the run, or has other classes.
    """
    config = source.config
    config = replace(
        config, labels=labels or config.labels, label_column=label_column or config.label_column
    )
    limit = config.max_megapixels if max_megapixels is None else max_megapixels
    if data is None:
        images = _own_images(config, skip_corrupt or config.skip_corrupt, limit, progress)
    elif len(data_of(config)) > 1:
        raise InputError(
            f"the run '{source.run.path}' learned from {len(data_of(config))} sets of photos, "
            "which `data` cannot name; leave `data` out"
        )
    else:
        images = open_images(
            data,
            need_labels=bool(subject.classes),
            skip_corrupt=skip_corrupt,
            max_megapixels=limit,
            root=root or config.data_root,
            download=download,
            labels=config.labels,
            label_column=config.label_column,
            progress=progress,
        )
    classes, targets = _classes(subject, images)
    parts, notes = _parts(source.run.splits, images, targets, labelled=bool(subject.classes))
    if images.skipped:
        notes = (*notes, word("see-skipped", count=len(images.skipped)))
    notes = (*notes, *map(both, then_notes(source.run.splits, images)))
    seen = seen_by(source.run.path, images, data_of(config), itself=False)
    if before := seen.of(sorted((*parts["val"], *parts["test"]))):
        notes = (*notes, word("see-before", count=len(before), one=images.keys[before[0]]))
    notes = (*notes, *(word("see-before-gone", run=name) for name in seen.gone))
    return RunPhotos(images, classes, targets, parts, subject.image_size, notes)


def _own_images(
    config: RunConfig, skip_corrupt: bool, max_megapixels: int, progress: Progress | None
) -> ImageSet:
    moved = [
        data for data in data_of(config) if Path(data).is_absolute() and not Path(data).exists()
    ]
    if moved:
        raise InputError(
            f"the photos of the run are no longer at '{moved[0]}'; say where they are with `data`"
        )
    config = replace(config, skip_corrupt=skip_corrupt, max_megapixels=max_megapixels)
    return joined(open_sources(config, progress=progress))


def _classes(subject: RunNetwork, images: ImageSet) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return class names in the order of the network's logits, and targets among them."""
    if not subject.classes:
        return images.classes, images.targets
    unknown = [name for name in images.classes if name not in subject.classes]
    if unknown:
        raise InputError(
            f"'{images.name}' has the class '{unknown[0]}', which the run does not know (it knows "
            f"{', '.join(subject.classes)}); give the photos of the run"
        )
    place = [subject.classes.index(name) for name in images.classes]
    return subject.classes, tuple(NO_LABEL if t < 0 else place[t] for t in images.targets)


def _parts(
    path: Path, images: ImageSet, targets: Sequence[int], *, labelled: bool
) -> tuple[dict[str, tuple[int, ...]], tuple[Words, ...]]:
    """Return the run's parts among the photos that are there, and what is to be told."""
    side_of = {row["path"]: row["split"] for row in read_table(path, ("path", "split"))}
    here = [i for i, key in enumerate(images.keys) if key in side_of]
    if not here:
        raise InputError(
            f"'{images.name}' has none of the photos of the run (such as "
            f"'{next(iter(side_of), '')}'); give the photos that the run learned from as `data`"
        )
    parts = {
        side: tuple(
            i for i in here if side_of[images.keys[i]] == side and (targets[i] >= 0 or not labelled)
        )
        for side in PARTS
    }
    notes = []
    gone, new = len(side_of) - len(here), len(images) - len(here)
    if gone:
        notes.append(word("see-gone", gone=gone, all=len(side_of)))
    if new:
        notes.append(word("see-unknown", count=new))
    return parts, tuple(notes)


@dataclass(frozen=True)
class Looked:
    """What the network says of some photos."""

    positions: tuple[int, ...]  # of the photos in the image set
    embedding: Tensor  # (N,D) of unit norm
    probability: Tensor | None  # (N,K); None for a network without classes
    target: Tensor  # (N,) classes; -1 without

    def row(self, position: int) -> int:
        """Return the row of a photo."""
        return self.positions.index(position)

    def wish(self, rows: Sequence[int]) -> Tensor:
        """Return what some photos are: their classes, or their embeddings without classes."""
        return (self.embedding if self.probability is None else self.target)[list(rows)]


def look_at(
    subject: RunNetwork, photos: RunPhotos, positions: Sequence[int], progress: Display, what: Said
) -> Looked:
    """Show photos to the network."""
    embeddings, probabilities, done = [], [], 0
    for batch in photos.batches(positions):
        embedding, probability = subject.ask(subject.look(batch))
        embeddings.append(embedding.cpu())
        if probability is not None:
            probabilities.append(probability.cpu())
        done += len(batch)
        progress.work(what, done, len(positions))
    return Looked(
        tuple(positions),
        torch.cat(embeddings),
        torch.cat(probabilities) if probabilities else None,
        photos.target(positions),
    )
