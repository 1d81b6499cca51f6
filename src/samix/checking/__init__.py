"""Does a mixing transform do what its labels say? Checks of policies and of other libraries' mixes.

`check_policy` calls a transform with photos of one colour each, which tell of which photos each
pixel of a mix is made, and with the user's photos.
"""

from .check import check_policy, check_with
from .libraries import is_library_mix
from .opening import policy_of
from .results import CheckResult, PolicyCheck
from .subject import stand_in_evidence
from .timing import MixTime, mix_time
from .trials import Photos, cut_batches, demo_photos

__all__ = [
    "CheckResult",
    "MixTime",
    "Photos",
    "PolicyCheck",
    "check_policy",
    "check_with",
    "cut_batches",
    "demo_photos",
    "is_library_mix",
    "mix_time",
    "policy_of",
    "stand_in_evidence",
]
