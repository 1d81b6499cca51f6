"""The policies by name, and what there is to say about each."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from samix.errors import nearest
from samix.networks import is_pretrained_mixer, is_repository

from .policy import CARDS, POLICIES, Policy, PolicyCard, Traits

# Each of these files registers its policies, which are listed in this order.
# isort: off
from . import static, saliency, puzzle, feature, token, recursive, comixup, learned  # noqa: F401

# isort: on


_CHANNELS = 8  # of a feature map, where a policy is made only to be asked
_PAPER = re.compile(r"arXiv (\d{4}\.\d{4,5})")
_SHARED = {
    "alpha": "Parameter of Beta(alpha, alpha), above 0: the smaller, the nearer lam is to 0 or 1.",
    "p": "Probability that a sample is mixed, in [0, 1].",
}
_NOTHING = "nothing but the images"
_WORDS = {
    "features": "the features of a network",
    "gradient": "the gradient of the loss by the pixels",
    "activation": "where a network sees each image's class",
    "attention": "the attention of a transformer",
    "saliency": "the saliency of the images",
}


def create_policy(name: str, **options: Any) -> Policy:
    """Create a policy by name, or from the folder of a pre-trained Mixer.

    Args:
        name: A key of :data:`POLICIES`, the folder of a pre-trained Mixer, or the "owner/name" of a
            repository that holds one.
        **options: Arguments of the function behind it, for instance ``alpha`` and ``p``.

    Raises:
        ValueError: The name or an option is unknown, or a value is outside its range.
    """
    make = policy_factory(name)
    check_options(options, policy_options(name), f"policy {name!r}")
    return make(**options)


def policy_factory(name: str) -> Callable[..., Policy]:
    """Return the function that makes a policy of a known name or path; others are refused."""
    if not isinstance(name, str):
        raise TypeError(
            f"policy: expected a name, got {name!r}; a policy that is made already is used as it is"
        )
    if name in POLICIES:
        return POLICIES[name]
    if is_pretrained_mixer(name) or is_repository(name):
        return partial(learned.pretrained, name)
    if ":" in name:
        raise ValueError(
            f"policy: {name!r} would be a policy of one's own, which is imported only where the "
            "command names it; give it with the option for policies (policy=MODULE:NAME)"
        )
    raise ValueError(
        f"policy: expected one of {', '.join(POLICIES)}, got {name!r}; the nearest is "
        f"{nearest(name, POLICIES)!r}"
    )


def policy_options(name: str) -> tuple[str, ...]:
    """Return the names of the options that a policy takes."""
    return tuple(inspect.signature(policy_factory(name)).parameters)


def check_options(options: Iterable[str], known: Iterable[str], owner: str) -> None:
    """Raise a ValueError that names the first unknown option and the nearest known one."""
    known = tuple(dict.fromkeys(known))
    for option in options:
        if option not in known:
            hint = f"the nearest is {nearest(option, known)!r}" if known else "it takes none"
            raise ValueError(
                f"{option}: unknown option of {owner}, expected one of {', '.join(known) or '-'}; "
                f"{hint}"
            )


@dataclass(frozen=True)
class PolicyFacts:
    """What a policy is, in words.

    Attributes:
        name: Name in :data:`samix.POLICIES`.
        card: What its file says about it.
        options: Its options with their defaults; None where there is no default of its own.
        traits: What it declares.
        network: It has a trained network of its own.
    """

    name: str
    card: PolicyCard
    options: Mapping[str, Any]
    traits: Traits
    network: bool = False

    @property
    def meaning(self) -> Mapping[str, str]:
        """What the options mean, those that the card explains or that all share."""
        return {**_SHARED, **self.card.options}

    @property
    def paper(self) -> str | None:
        """Address of the paper, where it is on arXiv."""
        found = _PAPER.search(self.card.source)
        return f"https://arxiv.org/abs/{found[1]}" if found else None

    @property
    def needs(self) -> str:
        """What must be known beyond the images."""
        needs = [_WORDS.get(need, need) for need in self.traits.needs]
        if self.traits.seam == "feature":
            needs.append("a stage inside the network to mix at")
        if self.traits.label == "attention":
            needs.append("the attention that the network in training pays to the mix")
        if self.traits.sources == "history":
            needs.append("the batch before, as it was mixed")
        return " and ".join(needs) or _NOTHING

    @property
    def cost(self) -> str:
        """What a step costs beyond plain training, in words."""
        traits = self.traits
        ways = (
            (not traits.mixes, "nothing"),
            (traits.learned, "a pass over the unmixed images, and the Mixer and its training"),
            ("gradient" in traits.needs, "a forward and a backward pass before the step"),
            (bool(traits.needs), "a forward pass of the momentum encoder"),
            (traits.seam == "feature", "a blend of features"),
            (traits.label == "attention", "a blend, and the attention of the last block"),
            (traits.sources == "history", "a copy of the batch, and a blend"),
            (self.network, "a forward pass of its own frozen network, and a blend"),
            (traits.reads_pixels, "a look at the pixels of the batch, and a blend"),
        )
        return next((words for so, words in ways if so), "a few random numbers, and a blend")

    @property
    def where(self) -> str:
        """Where it can be used."""
        if self.needs != _NOTHING:
            return "inside a method: samix train, samix pretrain, samix.create_method"
        return "everywhere: a loop, a collate_fn, a method, samix train"


def about_policy(name: str) -> PolicyFacts:
    """Return what there is to say about a policy.

    Args:
        name: A key of :data:`samix.POLICIES`.
    """
    known = policy_options(name)
    # a method fills in the channels
    policy = create_policy(name, **({"channels": _CHANNELS} if "channels" in known else {}))
    parameters = inspect.signature(POLICIES[name]).parameters
    options = {
        key: None if parameter.default is inspect.Parameter.empty else parameter.default
        for key, parameter in parameters.items()
        if key != "channels"
    }
    trained = policy.mixer is not None and not policy.traits.learned
    return PolicyFacts(name, CARDS[name], options, policy.traits, network=trained)
