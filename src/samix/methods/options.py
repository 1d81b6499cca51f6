"""What can be chosen about mixing, and about what is learned from mixes.

Each option is declared once, here; runs, their files and the command line take them over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from samix.options import Options, option

if TYPE_CHECKING:
    from samix.mixing import Pairing
    from samix.networks import Statistics

    from .clean import CleanBranch
    from .mix_step import Label
    from .step import Cost

DEFAULT_COST = "fast"
"""What is taken unless something else is asked for: cheaper, and not worse where measured."""


def _check_cost(cost: str | Cost) -> None:
    from .step import find_cost  # noqa: PLC0415 - help needs none of it

    find_cost(cost)


def _check_clean(how: bool | str | Mapping[str, Any] | CleanBranch | None) -> None:
    from .clean import find_clean  # noqa: PLC0415

    find_clean(how)


@dataclass(frozen=True, kw_only=True)
class MixOptions(Options):
    """What can be chosen about mixing, whatever is learned from the mixes."""

    policy: str = option(
        "samix",
        "how photos are mixed: a name that 'samix policies' lists, module:name for one of your "
        "own, or the folder of a run whose Mixer is taken; with samix train also 'frozen', a "
        "linear head on an encoder as it is",
        group="mixing",
        metavar="NAME|RUN",
    )
    policy_options: Mapping[str, Any] = option(
        {}, "further options of the policy, e.g. lam_margin=0.1", group="mixing"
    )
    tap: int | None = option(None, "stage or block that the Mixer reads", group="network")
    guard: Mapping[str, Any] | None = option(
        None,
        "check every mix and repair harmful ones; a YAML file says how, nothing takes the defaults",
        group="mixing",
        metavar="FILE",
    )
    cost: str | Cost = option(
        DEFAULT_COST,
        "what learning to mix may cost: fast, seldom, or full, the paper's way",
        group="mixing",
        metavar="NAME",
        check=_check_cost,
    )
    eta: float = option(0.5, "weight of the global term for the Mixer", group="mixing", least=0)
    area_weight: float = option(0.0, "weight of the Mixer's area loss", group="mixing", least=0)
    area_margin: float = option(
        0.1, "distance of area and lam that costs nothing there", group="mixing", least=0
    )
    clean_branch: bool | str | Mapping[str, Any] | CleanBranch | None = option(
        None,
        "let the network also learn from unmixed photos: off, branch (a pass of their own), half "
        "(of them), share (half of each batch stays unmixed), own-head, cheap (the Mixer reads "
        "what that pass sees), or fields such as fraction=0.25,head=own (cheap where a Mixer "
        "learns beside a classifier, else off)",
        group="mixing",
        metavar="HOW",
        check=_check_clean,
    )

    @classmethod
    def types(cls) -> Mapping[str, Any]:
        """Return the types of fields that are imported only where a record is made."""
        from samix.mixing import Pairing  # noqa: PLC0415 - help needs none of it
        from samix.networks import Statistics  # noqa: PLC0415

        from .clean import CleanBranch  # noqa: PLC0415
        from .mix_step import Label  # noqa: PLC0415
        from .step import Cost  # noqa: PLC0415

        return {
            "CleanBranch": CleanBranch, "Cost": Cost, "Label": Label, "Pairing": Pairing,
            "Statistics": Statistics,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SupervisedOptions(MixOptions):
    """What can be chosen about mixing where there are labels."""

    pairing: Pairing = option(
        "any",
        "who is mixed with whom, by class: any, same, different or balanced (each class as often); "
        "who has no such partner is not mixed",
        group="mixing",
        metavar="NAME",
    )
    label: Label | None = option(
        None,
        "what labels use instead of the policy's own: area, lam, saliency or attention",
        group="mixing",
        metavar="NAME",
    )
    decoupled: float = option(0.0, "weight of the decoupled mixup loss", group="mixing", least=0)
    momentum_average: bool | None = option(
        None, "keep an average of the network for any policy", group="mixing"
    )
    teacher_statistics: Statistics = option(
        "auto",
        "what batch norms of that average use: averaged, batch, or auto, which is batch until the "
        "averaged ones fit",
        group="mixing",
        metavar="WHICH",
    )
    label_smoothing: float = option(
        0.0, "share spread over all classes", group="mixing", least=0, below=1
    )
    teacher: Literal["average", "frozen"] = option(
        "average",
        "who judges what the Mixer makes: the average of the network, or the network as it began "
        "(frozen), for one that begins trained",
        group="mixing",
        metavar="WHICH",
    )
    norms: Literal["adapted", "frozen"] = option(
        "adapted",
        "statistics of the network's batch norms: adapted to each batch, or frozen as they began",
        group="network",
        metavar="WHICH",
    )


@dataclass(frozen=True, kw_only=True)
class SelfSupervisedOptions(MixOptions):
    """What can be chosen about mixing where there are no labels."""

    cross_view: bool = option(False, "take partners from the other view of the photos")
    mixer_candidates: Literal["instances", "clusters"] = option(
        "instances",
        "what the Mixer's mixes are told apart from: instances (SAMix-I), or clusters of keys "
        "(SAMix-C)",
    )
    extended_positives: bool = option(
        False, "the Mixer's positives lie between or beyond the keys of both views of a photo"
    )
