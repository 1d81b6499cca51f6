"""What the pictures of an explanation are made of: photos, heat, mixes, maps, and their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from samix.pages.words import Words


@dataclass(frozen=True)
class SeenPhoto:
    """A photo and where the network looks.

    Attributes:
        photo: (3,S,S) in [0, 1].
        heat: (1,S,S) in [0, 1].
        key: Its path.
        name: Its class; empty where there is none.
        said: Class that the network takes it for; empty for a network without classes.
        sure: Probability of that class.
        defect: (1,S,S) share of defect in each pixel, or None.
        inside: Share of the heat inside the defect, or None.
    """

    photo: Tensor
    heat: Tensor
    key: str
    name: str
    said: str = ""
    sure: float = 0.0
    defect: Tensor | None = None
    inside: float | None = None


@dataclass(frozen=True)
class HeatInside:
    """How much of the heat lies in the true defects of a class.

    Attributes:
        name: The class.
        photos: Photos with a marked defect and with heat.
        cold: Photos with a marked defect in which nothing speaks for the class; not counted.
        share: Mean share of the heat inside the defect; 0 without photos, as the following.
        area: Mean share of the photo that the defect takes: what blind looking would reach.
        hit: Share of photos whose hottest pixel lies in the defect.
    """

    name: str
    photos: int
    cold: int
    share: float
    area: float
    hit: float


@dataclass(frozen=True)
class Mix:
    """A mix of two photos.

    Attributes:
        original: (3,S,S) in [0, 1].
        partner: (3,S,S).
        mask: (1,S,S) weight of the original.
        mixed: (3,S,S).
        names: Classes of original and partner; empty where there are none.
        keys: Their paths.
        lam: As wanted or drawn.
        area: Of the mask.
        weight: Share of the original in the label.
        partner_weight: Share of the partner in the label.
    """

    original: Tensor
    partner: Tensor
    mask: Tensor
    mixed: Tensor
    names: tuple[str, str]
    keys: tuple[str, str]
    lam: float
    area: float
    weight: float
    partner_weight: float


@dataclass(frozen=True)
class SeenMix:
    """A mix and where its two sources are seen in it.

    Attributes:
        mix: The mix.
        heats: (1,S,S) for the original's and for the partner's class (or photo), or one for both.
        sure: Probabilities of the two classes; None for a network without classes.
    """

    mix: Mix
    heats: Sequence[Tensor]
    sure: tuple[float, float] | None


@dataclass(frozen=True)
class Sweep:
    """Masks of one pair for several lam, beside where the network looks in its two photos.

    Attributes:
        photos: (2,3,S,S) original and partner.
        names: Their classes.
        heats: (2,1,S,S); None where the network cannot say where it looks.
        masks: (L,1,S,S).
        area: L numbers.
    """

    photos: Tensor
    names: tuple[str, str]
    heats: Tensor | None
    masks: Tensor
    area: Sequence[float]


@dataclass(frozen=True)
class MixerStudy:
    """What a way of mixing does over lam.

    Attributes:
        lam: L values.
        sweeps: The pairs that are shown.
        area: (P,L) areas of all pairs that were measured.
        follows: Name of what is compared with the mask ("original", "partner", "unrelated") to the
            mean correlation at each lam; None where masks are constant. Empty without heat.
        looks: Whether the masks depend on the photos.
        deviation: Mean standard deviation within a mask at lam 0.5; 0 is plain mixup.
    """

    lam: Sequence[float]
    sweeps: Sequence[Sweep]
    area: Tensor
    follows: Mapping[str, Sequence[float | None]]
    looks: bool
    deviation: float


@dataclass(frozen=True)
class Route:
    """The way of a mix from one photo to another through the representation.

    Attributes:
        names: Classes of the two photos.
        points: Name of the way of mixing to the (L,2) points on the map, original first.
        detour: Its length over the straight distance of its ends.
        stride: Its longest step over its length; 1 / (L - 1) for even steps.
    """

    names: tuple[str, str]
    points: Mapping[str, Tensor]
    detour: Mapping[str, float]
    stride: Mapping[str, float]


@dataclass(frozen=True)
class Spread:
    """How close what belongs together is, and how evenly the space is used.

    Attributes:
        alignment: Mean squared distance of what belongs together; None where there is nothing.
        of: What belongs together: photos of one "class", or each "view" of one photo.
        apart: Mean squared distance of what does not.
        uniformity: log mean exp(-2 squared distance) over all pairs; lower is more even.
    """

    alignment: float | None
    of: Literal["class", "view"]
    apart: float | None
    uniformity: float


@dataclass(frozen=True)
class MapStudy:
    """The representation of the photos in two dimensions.

    Attributes:
        points: (N,2).
        target: (N,) classes; -1 without.
        classes: Their names.
        variance: Share of the variance that each of the two axes shows.
        routes: Ways of mixes.
        spread: Alignment and uniformity.
        names: Class of each pair of ways, for the legend.
    """

    points: Tensor
    target: Tensor
    classes: tuple[str, ...]
    variance: tuple[float, float]
    routes: Sequence[Route]
    spread: Spread


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
    """Nearest real photos of mixes.

    Attributes:
        shown: Mixes with their neighbours.
        usual: Median cosine of a photo to its nearest training photo.
        mixes: Median cosine of all measured mixes to theirs.
        measured: Mixes that were measured.
    """

    shown: Sequence[NearMix]
    usual: float
    mixes: float
    measured: int


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
    """How sure the classifier is of mixes.

    Attributes:
        most: The most confident mixes, the most confident first.
        least: The least confident mixes, the least confident first.
        weight: (M,) share of the original in the label, of all drawn mixes.
        split: (M,) the original's share of what the network gives to the two.
        both: (M,) what it gives to the two together.
    """

    most: Sequence[Judged]
    least: Sequence[Judged]
    weight: Tensor
    split: Tensor
    both: Tensor


@dataclass(frozen=True)
class Confusion:
    """What is taken for what, with and without mixing.

    Attributes:
        classes: The K classes that are shown.
        clean: (K,K+1) share of the photos of a class (row) that are taken for another (column); the
            last column is all classes that are not shown.
        photos: Photos of each class.
        other: K x K names of the class beside the two that takes most of the probability of a mix
            of row and column at lam 0.5; empty where there is no mix.
        strength: (K,K) that probability; NaN where there is no mix.
        draws: Mixes of each pair of classes, at most.
        left_out: How many classes are not shown.
    """

    classes: tuple[str, ...]
    clean: Tensor
    photos: Sequence[int]
    other: Sequence[Sequence[str]]
    strength: Tensor
    draws: int
    left_out: int


@dataclass(frozen=True)
class Explanation:
    """All parts; None or empty where the network or the data cannot have it.

    Attributes:
        run: What the run is called.
        policy: Name of the run's way of mixing, and of the one that mixes are made with.
        mixed_by: Name of the way of mixing of all mixes here.
        classifies: Whether the network knows classes.
        part: Part of the photos that are explained.
        looker: Name of the way to see where the network looks; empty without.
        fields: Height and width of its map.
        asker: Name of the one that can be asked about a class, for mixes; empty without.
        photos: Photos of the part that were looked at, and of all in it.
        accuracy: Top-1 on them; None without classes.
        guess: Top-1 of always saying the most frequent class; None without classes.
        seen: Photos and where the network looks.
        inside: Heat inside true defects, one a class.
        seen_mixes: Mixes and where their sources are seen.
        mixer: Masks over lam.
        map: The representation.
        near: Nearest real photos; None without training photos.
        confidence: Most and least confident mixes.
        confusion: What is taken for what.
        notes: Sentences for the reader.
    """

    run: str
    policy: str
    mixed_by: str
    classifies: bool
    part: str
    looker: str
    fields: tuple[int, int]
    asker: str
    photos: tuple[int, int]
    accuracy: float | None
    guess: float | None
    seen: Sequence[SeenPhoto]
    inside: Sequence[HeatInside]
    seen_mixes: Sequence[SeenMix]
    mixer: MixerStudy
    map: MapStudy
    near: NearStudy | None
    confidence: Confidence | None
    confusion: Confusion | None
    notes: Sequence[Words]
