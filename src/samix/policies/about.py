"""What there is to say about each policy, read from the policy itself and its docstrings."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from .policy import Policy, Traits
from .registry import POLICIES, create_policy, policy_options

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


@dataclass(frozen=True)
class PolicyFacts:
    """What a policy is, in words.

    Attributes:
        name: Name in :data:`samix.POLICIES`.
        sentence: What it does.
        options: Its options with their defaults; None where there is no default of its own.
        meaning: What the options mean, those that a docstring explains or that all share.
        source: Where it comes from; empty where it comes from no paper.
        notes: Deviations and whatever else its plan function says, a sentence after another.
        traits: What it declares.
        network: It has a trained network of its own.
    """

    name: str
    sentence: str
    options: Mapping[str, Any]
    meaning: Mapping[str, str]
    source: str
    notes: str
    traits: Traits
    network: bool = False

    @property
    def paper(self) -> str | None:
        """Address of the paper, where it is on arXiv."""
        found = _PAPER.search(self.source)
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
            (traits.learned, "a pass of the momentum encoder, and the Mixer and its training"),
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
    make, policy = POLICIES[name], _made(name)
    text = inspect.getdoc(make) or ""
    plan = _plan_text(make)
    source, notes = _source(f"{text}\n\n{plan}")
    return PolicyFacts(
        name=name,
        sentence=_plain(text.split("\n\n")[0]),
        options=_options(make),
        meaning={**_SHARED, **_meaning(text)},
        source=source,
        notes=notes,
        traits=policy.traits,
        network=isinstance(policy, nn.Module) and not policy.traits.learned,
    )


def _made(name: str) -> Policy:
    known = "channels" in policy_options(name)  # a method fills it in
    return create_policy(name, **({"channels": _CHANNELS} if known else {}))


def _options(make: Callable[..., Policy]) -> dict[str, Any]:
    parameters = inspect.signature(make).parameters
    return {
        name: None if parameter.default is inspect.Parameter.empty else parameter.default
        for name, parameter in parameters.items()
        if name != "channels"
    }


def _plan_text(make: Callable[..., Policy]) -> str:
    """Return the docstrings of what a policy is made of: its own functions, or those it uses."""
    module = sys.modules[make.__module__]
    own = [f"{make.__name__}_plan", f"{make.__name__}_mix"]
    used = sorted(set(make.__code__.co_names) - set(own))
    texts = []
    for name in (*own, *used):
        value = getattr(module, name, None)
        if inspect.isfunction(value) and "Source:" in (inspect.getdoc(value) or ""):
            texts.append(inspect.getdoc(value) or "")
    return "\n\n".join(texts)


def _source(text: str) -> tuple[str, str]:
    """Return the first source that a docstring names, and what follows it."""
    head = (
        text.split("\nArgs:", maxsplit=1)[0]
        if "Source:" in text.split("\nArgs:", maxsplit=1)[0]
        else text
    )
    flat = _plain(head[head.find("Source:") :]) if "Source:" in head else ""
    if not flat:
        return "", ""
    source, _, rest = flat.removeprefix("Source:").strip().partition(". ")
    return source.rstrip("."), rest.split(" Args: ")[0].strip()


def _meaning(text: str) -> dict[str, str]:
    """Return what the docstring says of each argument."""
    found: dict[str, str] = {}
    _, _, block = text.partition("\nArgs:\n")
    name = ""
    for line in block.split("\n\n")[0].splitlines():
        begins = re.match(r"    (\w+): (.*)", line)
        if begins:
            name = begins[1]
            found[name] = begins[2]
        elif name:
            found[name] += f" {line.strip()}"
    return {name: _plain(meaning) for name, meaning in found.items()}


def _plain(text: str) -> str:
    """Return text in one line, without the marks of a docstring."""
    text = re.sub(r":\w+:`~?([^`]*)`", r"\1", text)
    return " ".join(text.replace("`", "").split())
