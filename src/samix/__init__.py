"""samix: learned mixup for image models.

mixing      draws, masks, plans, and how they are applied to images and targets
policies    who decides how to mix: hand-made rules, or the Mixer
networks    backbones and their tap, the Mixer, the momentum encoder
objectives  the loss functions
checking    does a mix do what its labels say? for policies and for mixes of other libraries
guard       rules that reject or repair a harmful mix, and their counters
methods     one training step as a plain module: supervised, moco, simclr, byol, mocov3
data, training, evaluation, explain, preview, study, pages, cli  what the commands need
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .checking import check_policy
    from .guard import create_guard
    from .methods import (
        METHODS,
        SelfSupervisedMethod,
        SelfSupervisedOptions,
        StepOutput,
        SupervisedMethod,
        SupervisedOptions,
        compile_step,
        create_method,
    )
    from .mixing import MixPlan, blend, match_area, mix_dense, mix_targets
    from .networks import (
        Mixer,
        MixerOptions,
        MomentumEncoder,
        PretrainedMixer,
        momentum_decay,
        small_stem,
    )
    from .objectives import (
        area_loss,
        batch_candidates,
        eta_balanced_loss,
        global_loss,
        local_loss,
        queue_candidates,
        soft_cross_entropy,
    )
    from .policies import (
        POLICIES,
        BatchMix,
        Evidence,
        LearnedPolicy,
        Policy,
        create_policy,
        mix_collate,
    )

__all__ = [
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
]

_PARTS = ("mixing", "policies", "networks", "objectives", "methods", "guard", "checking")


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: the command line answers without torch."""
    if name in (*_PARTS, "data", "errors"):
        return import_module(f".{name}", __name__)
    if name in __all__:
        for part in _PARTS:
            module = import_module(f".{part}", __name__)
            if hasattr(module, name):
                globals()[name] = value = getattr(module, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_PARTS]
