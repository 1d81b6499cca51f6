"""The public interface: a change here is a change for users."""

from __future__ import annotations

import inspect

import samix

NAMES = {
    "METHODS",
    "POLICIES",
    "BatchMix",
    "Evidence",
    "LearnedPolicy",
    "MixPlan",
    "Mixer",
    "MixerOptions",
    "MomentumEncoder",
    "Policy",
    "PretrainedMixer",
    "SelfSupervisedMethod",
    "SelfSupervisedOptions",
    "StepOutput",
    "SupervisedMethod",
    "SupervisedOptions",
    "__version__",
    "area_loss",
    "batch_candidates",
    "blend",
    "check_policy",
    "compile_step",
    "create_guard",
    "create_method",
    "create_policy",
    "eta_balanced_loss",
    "global_loss",
    "local_loss",
    "match_area",
    "mix_collate",
    "mix_dense",
    "mix_targets",
    "momentum_decay",
    "queue_candidates",
    "small_stem",
    "soft_cross_entropy",
}


def test_public_names_are_frozen() -> None:
    assert set(samix.__all__) == NAMES
    assert all(hasattr(samix, name) for name in NAMES)


def test_policies_and_methods_are_frozen() -> None:
    assert list(samix.POLICIES) == [
        "none",
        "mixup",
        "cutmix",
        "mixup-cutmix",
        "resizemix",
        "fmix",
        "smoothmix",
        "gridmix",
        "maskmix",
        "saliencymix",
        "guidedmixup",
        "attentivemix",
        "snapmix",
        "puzzlemix",
        "manifold-mixup",
        "alignmix",
        "transmix",
        "tokenmix",
        "smmix",
        "recursivemix",
        "co-mixup",
        "automix",
        "adautomix",
        "samix",
        "samix-p",
    ]
    assert list(samix.METHODS) == ["supervised", "moco", "simclr", "byol", "mocov3"]


def test_every_public_thing_says_what_it_is() -> None:
    for name in NAMES - {"__version__", "METHODS", "POLICIES"}:
        assert inspect.getdoc(getattr(samix, name)), name
