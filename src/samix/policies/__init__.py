"""Who decides lam, index, mask and weight of a mix."""

from samix.mixing import Evidence

from .about import PolicyFacts, about_policy
from .collate import BatchMix, MixCollate, mix_collate
from .feature import FeaturePolicy
from .informed import InformedPolicy
from .learned import MIXER_OPTIONS, LearnedPolicy, PretrainedPolicy, pair_features
from .policy import Policy, StaticPolicy, Traits
from .puzzle import PuzzleEnergy
from .recursive import RecursivePolicy
from .registry import POLICIES, check_options, create_policy, nearest, policy_options
from .saliency import SaliencyPolicy

__all__ = [
    "MIXER_OPTIONS",
    "POLICIES",
    "BatchMix",
    "Evidence",
    "FeaturePolicy",
    "InformedPolicy",
    "LearnedPolicy",
    "MixCollate",
    "Policy",
    "PolicyFacts",
    "PretrainedPolicy",
    "PuzzleEnergy",
    "RecursivePolicy",
    "SaliencyPolicy",
    "StaticPolicy",
    "Traits",
    "about_policy",
    "check_options",
    "create_policy",
    "mix_collate",
    "nearest",
    "pair_features",
    "policy_options",
]
