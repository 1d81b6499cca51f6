"""Rules that reject or repair a harmful mix, and their counters.

A guard looks at a plan before any pixel is touched::

    guard = samix.create_guard({"good": ["good part"]}, classes=names)
    plan = policy.plan(images, generator=g)
    redraw = lambda index: policy.plan(images, index=index)
    plan, record = guard(images, plan, target=target, redraw=redraw)
    guard.counters.summary()

Inside a method: ``create_method(..., guard={...})``.
"""

from samix.mixing import by_content

from .counters import GuardCounters
from .guard import Guard, GuardRecord, as_mixup, create_guard
from .options import OUTCOMES, REPAIRS, RULES, GuardOptions, guard_options, pair_table
from .rules import (
    RuleVerdict,
    pair_verdict,
    plausibility_verdict,
    range_verdict,
    visibility_verdict,
)

__all__ = [
    "OUTCOMES",
    "REPAIRS",
    "RULES",
    "Guard",
    "GuardCounters",
    "GuardOptions",
    "GuardRecord",
    "RuleVerdict",
    "as_mixup",
    "by_content",
    "create_guard",
    "guard_options",
    "pair_table",
    "pair_verdict",
    "plausibility_verdict",
    "range_verdict",
    "visibility_verdict",
]
