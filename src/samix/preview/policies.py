"""The policies of `samix preview`: from words to policies that can mix before any training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samix.errors import InputError
from samix.methods import RIVALS
from samix.networks import PretrainedMixer, is_pretrained_mixer
from samix.pages.words import Words, both, paragraph, policy_about, word
from samix.policies import (
    POLICIES,
    Policy,
    PretrainedPolicy,
    check_options,
    create_policy,
    nearest,
    policy_options,
)
from samix.training.mixer_export import mixer_of_run, mixer_remarks

DEFAULT = ("mixup", "cutmix", "samix-p")  # what is looked at where nothing is said
ALPHA = 1.0  # parameter of the Beta distribution of every policy where nothing is said
_ALPHAS = ("alpha", "cutmix_alpha")  # options that lam is drawn with
_RUN_OPTIONS = ("alpha", "p")


@dataclass(frozen=True)
class Shown:
    """A policy that is looked at."""

    name: str  # as it was given
    policy: Policy  # what makes the plans
    options: Mapping[str, Any]  # its options, of those that were given or that all share
    about: Words  # what it is

    @property
    def text(self) -> Words:
        """What it is, with its options."""
        shown = {k: f"{v:g}" if isinstance(v, float) else v for k, v in self.options.items()}
        options = ", ".join(f"{name} {value}" for name, value in shown.items())
        if not options:
            return self.about
        return word("about-options", about=self.about, options=options)

    @property
    def draw(self) -> Words:
        """Where lam comes from."""
        if not self.policy.traits.draws_lam:
            return word("draw-photos")
        values = list(dict.fromkeys(self.options[a] for a in _ALPHAS if a in self.options))
        told = [both(f"Beta({v:g},\u00a0{v:g})") for v in values]
        if len(told) > 1:
            return word("draw-or", first=told[0], second=told[1])
        return told[0] if told else word("draw-own")


def parse_words(words: Sequence[str], known: Sequence[str] = ()) -> tuple[str, ...]:
    """Return names, each once, from words with commas; a word that is one name stays whole."""
    names: list[str] = []
    for one in words:
        whole = one in known or ("," in one and Path(one).expanduser().exists())
        parts = [one] if whole else one.split(",")
        names += [part.strip() for part in parts if part.strip()]
    return tuple(dict.fromkeys(names))


def open_policies(names: Sequence[str], given: Mapping[str, Any]) -> list[Shown]:
    """Return policies that can mix already, each with those of the options that are for it."""
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    known = {name: _options_of(name) for name in names}
    chosen = _divided(known, given)
    return [_open(name, chosen[name]) for name in names]


def _options_of(name: str) -> tuple[str, ...]:
    """Return the options of a policy; refuse one that cannot mix before any training."""
    if name in RIVALS:
        rival = RIVALS[name]
        if not POLICIES[rival.policy]().traits.mixes:
            raise InputError(
                f"policy={name} mixes features inside the network, not photos, so that there is "
                "nothing to look at; leave it out"
            )
        return policy_options(rival.policy)
    if name in POLICIES and (why := _unseen(name)) is not None:
        raise InputError(f"policy={name} {why}")
    if name in POLICIES or is_pretrained_mixer(name):
        return policy_options(name)
    if (Path(name).expanduser() / "config.yaml").is_file():
        return _RUN_OPTIONS
    if Path(name).expanduser().exists() or "/" in name:
        raise InputError(
            f"policy '{name}' is neither the folder of a run nor that of a pre-trained Mixer; "
            "give one, or the name of a policy"
        )
    known = [*(policy for policy in POLICIES if _unseen(policy) is None), *RIVALS]
    raise InputError(
        f"policy '{name}' is unknown; expected {', '.join(known)}, or a folder; the nearest is "
        f"'{nearest(name, known)}'"
    )


def _unseen(name: str) -> str | None:
    """Return why a policy has no mixes to look at before any training; None where it has."""
    if "channels" in policy_options(name):
        return (
            "has no trained Mixer before a run; give samix-p, which brings one, or the folder of a "
            "run of samix train or samix pretrain"
        )
    traits = POLICIES[name]().traits
    if traits.sources == "history":
        return f"mixes with the batch before, which there is none of yet; {_in_a_run(name)}"
    if traits.seam == "feature":
        return (
            "mixes features inside the network, not photos, so that there is nothing to look at; "
            "leave it out"
        )
    if traits.label == "attention":
        return (
            "labels mixes by the attention of a network in training; its mixes are those of "
            "cutmix, look at these"
        )
    if traits.needs:
        return (
            f"reads the {', '.join(traits.needs)} of a network in training, so that it cannot mix "
            f"before; {_in_a_run(name)}"
        )
    return None


def _in_a_run(name: str) -> str:
    return f"a run draws its mixes: see mixes.png of samix train DATA policy={name} epochs=1"


def _divided(
    known: Mapping[str, Sequence[str]], given: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the options of each policy: shared ones where it has them, then its own."""
    shared = {key: value for key, value in given.items() if "." not in key}
    own: dict[str, dict[str, Any]] = {name: {} for name in known}
    every = sorted({option for options in known.values() for option in options})
    for key, value in given.items():
        name, dot, option = key.rpartition(".")
        try:
            if dot and name not in known:
                raise InputError(
                    f"policy_options {key} is for policy '{name}', but `policy` is "
                    f"{','.join(known)}; leave it out or add the policy"
                )
            whom = [name] if dot else list(known)
            check_options([option], known[name] if dot else every, f"policy {','.join(whom)}")
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"policy_options {error}") from error
        if dot:
            own[name][option] = value
    alpha = shared.pop("alpha", ALPHA)
    shared = {**dict.fromkeys(_ALPHAS, alpha), **shared}
    return {
        name: {**{key: v for key, v in shared.items() if key in options}, **own[name]}
        for name, options in known.items()
    }


def _open(name: str, options: Mapping[str, Any]) -> Shown:
    try:
        if name in RIVALS:
            rival = RIVALS[name]
            policy = create_policy(rival.policy, **{**rival.policy_options, **options})
            about = word("about-rival", policy=rival.policy)
            return Shown(name, policy, options, about)
        if name in POLICIES or is_pretrained_mixer(name):
            policy = create_policy(name, **options)
            about = word("about-mixer", name=name) if name not in POLICIES else policy_about(name)
        else:
            policy = PretrainedPolicy(mixer_of_run(name), name=name, **options)
            about = word("about-run", name=name)
    except (ValueError, TypeError) as error:
        raise InputError(f"policy={name}: {error}") from error
    # remarks on a Mixer are written by its training, in English alone
    remarks = mixer_remarks(policy.mixer) if isinstance(policy.mixer, PretrainedMixer) else ()
    return Shown(name, policy, options, paragraph([about, *remarks]))
