"""The policies by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from samix.networks import is_pretrained_mixer, is_repository

from . import (
    comixup,
    feature,
    learned,
    puzzle,
    recursive,
    saliency,
    static,
    token,
)
from .policy import Policy

POLICIES: dict[str, Callable[..., Policy]] = {
    "none": static.none,
    "mixup": static.mixup,
    "cutmix": static.cutmix,
    "mixup-cutmix": static.mixup_cutmix,
    "resizemix": static.resizemix,
    "fmix": static.fmix,
    "smoothmix": static.smoothmix,
    "gridmix": static.gridmix,
    "maskmix": static.maskmix,
    "saliencymix": saliency.saliencymix,
    "guidedmixup": saliency.guidedmixup,
    "attentivemix": saliency.attentivemix,
    "puzzlemix": puzzle.puzzlemix,
    "snapmix": saliency.snapmix,
    "manifold-mixup": feature.manifold_mixup,
    "alignmix": feature.alignmix,
    "transmix": token.transmix,
    "tokenmix": token.tokenmix,
    "smmix": token.smmix,
    "recursivemix": recursive.recursivemix,
    "co-mixup": comixup.comixup,
    "automix": learned.automix,
    "adautomix": learned.adautomix,
    "samix": learned.samix,
    "samix-p": learned.samix_p,
}
"""Every policy: its name, and the function that makes it."""


def create_policy(name: str, **options: Any) -> Policy:
    """Create a policy by name, or from the folder of a pre-trained Mixer.

    Args:
        name: A key of :data:`POLICIES`, the folder of a pre-trained Mixer, or the "owner/name" of a
            repository that holds one.
        **options: Arguments of the function behind it, for instance ``alpha`` and ``p``.

    Raises:
        ValueError: Unknown name, unknown option, or a value outside its range.
    """
    make = policy_factory(name)
    check_options(options, policy_options(name), f"policy {name!r}")
    return make(**options)


def policy_factory(name: str) -> Callable[..., Policy]:
    """Return the function that makes a policy: one of :data:`POLICIES`, or of a path.

    Raises:
        ValueError: Unknown name.
        TypeError: No name at all.
    """
    if not isinstance(name, str):
        raise TypeError(
            f"policy: expected a name, got {name!r}; a policy that is made already is used as it is"
        )
    if name in POLICIES:
        return POLICIES[name]
    if is_pretrained_mixer(name) or is_repository(name):
        return partial(learned.pretrained, name)
    raise ValueError(
        f"policy: expected one of {', '.join(POLICIES)}, got {name!r}; the nearest is "
        f"{nearest(name, POLICIES)!r}"
    )


def policy_options(name: str) -> tuple[str, ...]:
    """Return the names of the options that a policy takes."""
    return tuple(inspect.signature(policy_factory(name)).parameters)


def check_options(options: Iterable[str], known: Iterable[str], owner: str) -> None:
    """Raise a ValueError that names the first unknown option and the nearest known one."""
    known = tuple(known)
    for option in options:
        if option not in known:
            hint = f"the nearest is {nearest(option, known)!r}" if known else "it takes none"
            raise ValueError(
                f"{option}: unknown option of {owner}, expected one of {', '.join(known) or '-'}; "
                f"{hint}"
            )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that looks most like the given one."""
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]
