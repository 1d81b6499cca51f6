"""samix: learned mixup for image models.

mixing      draws, masks, plans, and how they are applied to images and targets
policies    who decides how to mix: hand-made rules, or the Mixer
networks    backbones and their tap, the Mixer, the momentum encoder
objectives  the loss functions
checking    does a mix do what its labels say? for policies and for mixes of other libraries
guard       rules that reject or repair a harmful mix, and their counters
methods     one training step as a plain module: supervised, moco, simclr, byol, mocov3
data, training, evaluation, report, cli  what `samix train` needs (the extra samix[train])
"""

from ._version import __version__
from .checking import check_policy
from .guard import create_guard
from .methods import (
    METHODS,
    SelfSupervisedMethod,
    SelfSupervisedOptions,
    StepOutput,
    SupervisedMethod,
    SupervisedOptions,
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
    StaticPolicy,
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
    "StaticPolicy",
    "StepOutput",
    "SupervisedMethod",
    "SupervisedOptions",
    "__version__",
    "area_loss",
    "batch_candidates",
    "blend",
    "check_policy",
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
