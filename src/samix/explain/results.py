"""What the pictures of an explanation are made of: photos, heat, mixes, maps, and their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from samix.pages.words import Words


@dataclass(frozen=True)
class SeenPhoto:
    """A photo and where the network looks."""

    photo: Tensor  # (3,S,S) in [0, 1]
    heat: Tensor  # (1,S,S) in [0, 1]
    key: str  # its path
    name: str  # its class; empty where there is none
    said: str = ""  # class that the network takes it for; empty for a network without classes
    sure: float = 0.0  # probability of that class
    defect: Tensor | None = None  # (1,S,S) share of defect in each pixel, or None
    inside: float | None = None  # share of the heat inside the defect, or None


@dataclass(frozen=True)
class HeatInside:
    """How much of the heat lies in the true defects of a class."""

    name: str  # the class
    photos: int  # photos with a marked defect and with heat
    cold: int  # photos with a marked defect in which nothing speaks for the class; not counted
    share: float  # mean share of the heat inside the defect; 0 without photos, as the following
    area: float  # mean share of the photo that the defect takes: what blind looking would reach
    hit: float  # share of photos whose hottest pixel lies in the defect


@dataclass(frozen=True)
class Mix:
    """A mix of two photos."""

    original: Tensor  # (3,S,S) in [0, 1]
    partner: Tensor  # (3,S,S)
    mask: Tensor  # (1,S,S) weight of the original
    mixed: Tensor  # (3,S,S)
    names: tuple[str, str]  # classes of original and partner; empty where there are none
    keys: tuple[str, str]  # their paths
    lam: float  # as wanted or drawn
    area: float  # of the mask
    weight: float  # share of the original in the label
    partner_weight: float  # share of the partner in the label


@dataclass(frozen=True)
class SeenMix:
    """A mix and where its two sources are seen in it."""

    mix: Mix
    # (1,S,S) for the class (or photo) of original and partner, or one for both
    heats: Sequence[Tensor]
    sure: tuple[float, float] | None  # probabilities of the two classes; None without classes


@dataclass(frozen=True)
class Sweep:
    """Masks of one pair for several lam, beside where the network looks in its two photos."""

    photos: Tensor  # (2,3,S,S) original and partner
    names: tuple[str, str]  # their classes
    heats: Tensor | None  # (2,1,S,S); None where the network cannot say where it looks
    masks: Tensor  # (L,1,S,S)
    area: Sequence[float]  # L numbers


@dataclass(frozen=True)
class MixerStudy:
    """What a way of mixing does over lam."""

    lam: Sequence[float]  # L values
    sweeps: Sequence[Sweep]  # the pairs that are shown
    area: Tensor  # (P,L) areas of all pairs that were measured
    # name of what is compared with the mask ("original", "partner", "unrelated") to the mean
    # correlation at each lam; None where masks are constant. Empty without heat
    follows: Mapping[str, Sequence[float | None]]
    looks: bool  # whether the masks depend on the photos
    deviation: float  # mean standard deviation within a mask at lam 0.5; 0 is plain mixup


@dataclass(frozen=True)
class Route:
    """The way of a mix from one photo to another through the representation."""

    names: tuple[str, str]  # classes of the two photos
    points: Mapping[str, Tensor]  # way of mixing to (L,2) points on the map, original first
    detour: Mapping[str, float]  # its length over the straight distance of its ends
    stride: Mapping[str, float]  # its longest step over its length; 1 / (L - 1) for even steps


@dataclass(frozen=True)
class Spread:
    """How close what belongs together is, and how evenly the space is used."""

    alignment: float | None  # mean squared distance of what belongs together; None without any
    # what belongs together: photos of one class, or views of one photo
    of: Literal["class", "view"]
    apart: float | None  # mean squared distance of what does not
    uniformity: float  # log mean exp(-2 squared distance) over all pairs; lower is more even


@dataclass(frozen=True)
class MapStudy:
    """The representation of the photos in two dimensions."""

    points: Tensor  # (N,2)
    target: Tensor  # (N,) classes; -1 without
    classes: tuple[str, ...]  # their names
    variance: tuple[float, float]  # share of the variance that each of the two axes shows
    routes: Sequence[Route]  # ways of mixes
    spread: Spread  # alignment and uniformity


@dataclass(frozen=True)
class Neighbour:
    """A real photo near a mix: (3,S,S) photo, class, path, and cosine of the embeddings."""

    photo: Tensor
    name: str
    key: str
    cosine: float


@dataclass(frozen=True)
class NearMix:
    """A mix and the training photos nearest to it."""

    mix: Mix
    neighbours: Sequence[Neighbour]


@dataclass(frozen=True)
class NearStudy:
    """Nearest real photos of mixes."""

    shown: Sequence[NearMix]  # mixes with their neighbours
    usual: float  # median cosine of a photo to its nearest training photo
    mixes: float  # median cosine of all measured mixes to theirs
    measured: int  # mixes that were measured


@dataclass(frozen=True)
class Judged:
    """A mix as the classifier judges it: probabilities of both classes, and the strongest other."""

    mix: Mix
    sure: tuple[float, float]
    other: str
    other_sure: float

    @property
    def both(self) -> float:
        """Probability of the two classes together."""
        return self.sure[0] + self.sure[1]

    @property
    def split(self) -> float:
        """The original's share of that."""
        return self.sure[0] / max(self.both, 1e-12)


@dataclass(frozen=True)
class Confidence:
    """How sure the classifier is of mixes."""

    most: Sequence[Judged]  # the most confident mixes, the most confident first
    least: Sequence[Judged]  # the least confident mixes, the least confident first
    weight: Tensor  # (M,) share of the original in the label, of all drawn mixes
    split: Tensor  # (M,) the original's share of what the network gives to the two
    both: Tensor  # (M,) what it gives to the two together


@dataclass(frozen=True)
class Confusion:
    """What is taken for what, with and without mixing."""

    classes: tuple[str, ...]  # the K classes that are shown
    # (K,K+1) share of the photos of a class (row) that are taken for another (column); the last
    # column is all classes that are not shown
    clean: Tensor
    photos: Sequence[int]  # photos of each class
    # K x K names of the class beside the two that takes most of the probability of a mix of row and
    # column at lam 0.5; empty where there is no mix
    other: Sequence[Sequence[str]]
    strength: Tensor  # (K,K) that probability; NaN where there is no mix
    draws: int  # mixes of each pair of classes, at most
    left_out: int  # how many classes are not shown


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """All parts; None or empty where the network or the data cannot have it."""

    run: str  # what the run is called
    policy: str  # name of the run's way of mixing, and of the one that mixes are made with
    mixed_by: str  # name of the way of mixing of all mixes here
    classifies: bool  # whether the network knows classes
    part: str  # part of the photos that are explained
    looker: str  # name of the way to see where the network looks; empty without
    fields: tuple[int, int]  # height and width of its map
    asker: str  # name of the one that can be asked about a class, for mixes; empty without
    photos: tuple[int, int]  # photos of the part that were looked at, and of all in it
    accuracy: float | None  # top-1 on them; None without classes
    guess: float | None  # top-1 of always saying the most frequent class; None without classes
    seen: Sequence[SeenPhoto]  # photos and where the network looks
    inside: Sequence[HeatInside]  # heat inside true defects, one a class
    seen_mixes: Sequence[SeenMix]  # mixes and where their sources are seen
    mixer: MixerStudy  # masks over lam
    map: MapStudy  # the representation
    near: NearStudy | None  # nearest real photos; None without training photos
    confidence: Confidence | None  # most and least confident mixes
    confusion: Confusion | None  # what is taken for what
    notes: Sequence[Words]  # sentences for the reader
