"""Whether the Mixer is alive, said in numbers and in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LEAST_DEVIATION = 0.1  # standard deviation within a mask, of which a constant mask has none
LEAST_CORRELATION = 0.9  # of area and lam
LEAST_EXCHANGE = 0.9  # correlation of a mask with that of the exchanged pair
LEAST_CHANGE = 0.1  # of a mask by another partner
NEEDED = {
    "mask_deviation": LEAST_DEVIATION,
    "area_lam_correlation": LEAST_CORRELATION,
    "exchange_correlation": LEAST_EXCHANGE,
    "partner_change": LEAST_CHANGE,
}
"""What a Mixer that is alive has at least; see :func:`samix.methods.mixer_step.signs_of_life`."""
FIRST_LOOK = 0.1  # share of the steps after which a Mixer should be alive
_PREFIX = "mixer_"


def is_alive(row: Mapping[str, float]) -> bool:
    """Say whether masks have structure, follow the content of both images, and areas follow lam.

    Args:
        row: A row of the history, with the signs of life on the fixed batch.
    """
    return all(row[f"{_PREFIX}{name}"] >= least for name, least in NEEDED.items())


def life_row(signs: Mapping[str, Any]) -> dict[str, float]:
    """Return the signs of life as columns of the history."""
    return {f"{_PREFIX}{name}": float(value) for name, value in signs.items()}


def has_mixer(rows: Sequence[Mapping[str, float]]) -> bool:
    """Say whether the run has a Mixer at all."""
    return any(_measured(row) for row in rows)


def first_look(rows: Sequence[Mapping[str, float]], steps: int) -> Mapping[str, float] | None:
    """Return the first look at the Mixer from 10 % of the planned steps on, None before it."""
    late = (row for row in rows if row["step"] >= FIRST_LOOK * steps)
    return next((row for row in late if _measured(row)), None)


def life_summary(rows: Sequence[Mapping[str, float]], steps: int) -> dict[str, Any]:
    """Return what metrics.json says about the Mixer.

    Args:
        rows: The history so far, with signs of life.
        steps: Planned steps of the run.
    """
    rows = [row for row in rows if _measured(row)]
    early = first_look(rows, steps)
    alive = [int(row["epoch"]) for row in rows if is_alive(row)]
    dead = [int(row["epoch"]) for row in rows if not is_alive(row)]
    unbroken = [epoch for epoch in alive if epoch > max(dead, default=-1)]
    last = {k.removeprefix(_PREFIX): v for k, v in rows[-1].items() if k.startswith(_PREFIX)}
    return {
        "came_alive": bool(alive),
        "first_alive_epoch": alive[0] if alive else None,
        "alive_since_epoch": unbroken[0] if unbroken else None,
        "alive_at_10_percent": None if early is None else is_alive(early),
        "alive_at_end": is_alive(rows[-1]),
        "at_10_percent": None if early is None else _signs(early),
        "at_end": last,
        "needed": dict(NEEDED),
    }


def life_sentence(row: Mapping[str, float]) -> str:
    """Return one sentence on whether the Mixer is alive in an epoch."""
    signs = _signs(row)
    numbers = (
        f"masks vary by {signs['mask_deviation']:.2f} (needed {LEAST_DEVIATION:g}), areas follow "
        f"lam by {signs['area_lam_correlation']:.2f} (needed {LEAST_CORRELATION:g}), exchanged "
        f"images exchange the mask by {signs['exchange_correlation']:.2f} (needed "
        f"{LEAST_EXCHANGE:g}), another partner changes it by {signs['partner_change']:.2f} (needed "
        f"{LEAST_CHANGE:g})"
    )
    if is_alive(row):
        return f"The Mixer is alive: {numbers}."
    return f"The Mixer is NOT alive yet: {numbers}; until then its mixes are costly mixup."


def _measured(row: Mapping[str, float]) -> bool:
    return f"{_PREFIX}mask_deviation" in row


def _signs(row: Mapping[str, float]) -> dict[str, float]:
    return {name: row[f"{_PREFIX}{name}"] for name in NEEDED}
