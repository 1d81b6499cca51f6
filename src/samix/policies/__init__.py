"""Who decides lam, index, mask and weight of a mix."""

from samix.errors import nearest
from samix.mixing import Evidence

from .collate import BatchMix, MixCollate, mix_collate
from .feature import FeaturePolicy
from .learned import MIXER_OPTIONS, LearnedPolicy, PretrainedPolicy
from .own import POLICY_FORMS, import_name, inherit_own, is_own, policy_maker, register_own
from .policy import POLICIES, Inside, Policy, PolicyCard, Traits, pair_features, register
from .puzzle import PuzzleEnergy
from .recursive import RecursivePolicy
from .registry import (
    PolicyFacts,
    about_policy,
    check_options,
    create_policy,
    policy_options,
)

__all__ = [
    "MIXER_OPTIONS",
    "POLICIES",
    "POLICY_FORMS",
    "BatchMix",
    "Evidence",
    "FeaturePolicy",
    "Inside",
    "LearnedPolicy",
    "MixCollate",
    "Policy",
    "PolicyCard",
    "PolicyFacts",
    "PretrainedPolicy",
    "PuzzleEnergy",
    "RecursivePolicy",
    "Traits",
    "about_policy",
    "check_options",
    "create_policy",
    "import_name",
    "inherit_own",
    "is_own",
    "mix_collate",
    "nearest",
    "pair_features",
    "policy_maker",
    "policy_options",
    "register",
    "register_own",
]
