"""Defects of the demo photos, drawn onto a surface together with their pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from samix.data.surface import Plane, blotches, grid

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Marked:
    """A surface with a defect.

    Attributes:
        plane: (S, S) brightness.
        warmth: (S, S) shift towards brown, 0 is none.
        mask: (S, S) pixels of the defect.
    """

    plane: Plane
    warmth: Plane
    mask: Mask


Draw = Callable[[np.random.Generator, Plane, float], Marked]


def _unchanged(plane: Plane) -> Plane:
    return np.zeros_like(plane)


def good(rng: np.random.Generator, plane: Plane, unit: float) -> Marked:
    """Leave the surface as it is."""
    del rng, unit
    return Marked(plane, _unchanged(plane), np.zeros(plane.shape, dtype=np.bool_))


def _middle(rng: np.random.Generator, plane: Plane, reach: float) -> NDArray[np.float64]:
    """Draw a place (row, column) within `reach` times the side from the centre."""
    return len(plane) * (0.5 + rng.uniform(-reach, reach, size=2))


def _along(points: NDArray[np.float64], plane: Plane) -> tuple[Plane, Plane, Plane]:
    """Return, for each pixel, where it lies relative to a line of straight pieces.

    Args:
        points: (P, 2) corners of the line as (row, column).
        plane: (S, S) surface.

    Returns:
        Distance to the line in px, signed distance to the nearest piece, and the place along the
        line in [0, 1]; (S, S) each.
    """
    rows, columns = grid(len(plane))
    best = np.full(plane.shape, np.inf, dtype=np.float32)
    signed, place = np.zeros_like(best), np.zeros_like(best)
    pieces = len(points) - 1
    for i, (start, end) in enumerate(pairwise(points)):
        step = (end - start).astype(np.float32)
        length = max(float(np.hypot(*step)), 1e-3)
        r, c = rows - np.float32(start[0]), columns - np.float32(start[1])
        at = np.clip((r * step[0] + c * step[1]) / length**2, 0, 1)
        distance = np.hypot(r - at * step[0], c - at * step[1])
        nearer = distance < best
        best = np.where(nearer, distance, best)
        signed = np.where(nearer, (r * step[1] - c * step[0]) / length, signed)
        place = np.where(nearer, (i + at) / pieces, place)
    return best, signed, place


def scratch(rng: np.random.Generator, plane: Plane, unit: float) -> Marked:
    """Draw a long, thin, nearly straight groove: a bright edge beside a dark one."""
    angle, bend = rng.uniform(0, np.pi), rng.uniform(-0.12, 0.12)
    length, width = rng.uniform(26, 50) * unit, rng.uniform(0.75, 1.25) * unit
    t = np.linspace(-0.5, 0.5, 5)
    line = np.stack([t, bend * (0.25 - 4 * t**2) * 0.5], axis=1) * length
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    distance, signed, place = _along(line @ turn.T + _middle(rng, plane, 0.1), plane)
    waves, phase = rng.uniform(0.5, 2.0), rng.uniform(0, 2 * np.pi)
    pressure = np.clip(6 * np.minimum(place, 1 - place), 0.0, 1.0)
    pressure *= 1 - rng.uniform(0.0, 0.6) * (0.5 + 0.5 * np.sin(2 * np.pi * waves * place + phase))
    groove = np.exp(-((distance / width) ** 2)) * pressure
    edge = np.exp(-(((signed - 1.6 * width) / width) ** 2)) * (distance < 4 * width) * pressure
    strength = rng.uniform(0.28, 0.55)
    marked = plane + strength * (groove - 0.6 * edge)
    return Marked(marked, _unchanged(plane), groove + 0.6 * edge > 0.15)


def crack(rng: np.random.Generator, plane: Plane, unit: float) -> Marked:
    """Draw a dark, jagged, tapering line, sometimes with a branch."""
    marked, mask = plane, np.zeros(plane.shape, dtype=np.bool_)
    strength, width = rng.uniform(0.45, 0.8), rng.uniform(0.75, 1.3) * unit
    heading = rng.uniform(0, 2 * np.pi)
    trunk = _walk(rng, heading, int(rng.integers(7, 12)), 4.6 * unit)
    trunk += _middle(rng, plane, 0.1) - trunk.mean(axis=0)
    lines = [trunk]
    if rng.random() < 0.5:
        side = heading + rng.choice([-1, 1]) * rng.uniform(0.6, 1.1)
        lines.append(_walk(rng, side, 4, 3.8 * unit) + trunk[len(trunk) // 2])
    for line in lines:
        distance, _, place = _along(line, plane)
        thin = width * (1.1 - 0.8 * np.abs(2 * place - 1) ** 2)
        marked = marked * (1 - strength * np.exp(-((distance / thin) ** 2))).astype(np.float32)
        mask |= distance < 1.2 * thin
    return Marked(marked, _unchanged(plane), mask)


def _walk(
    rng: np.random.Generator, heading: float, pieces: int, step: float
) -> NDArray[np.float64]:
    """Return the corners of a jagged line that starts at (0, 0): (pieces + 1, 2)."""
    angles = heading + rng.uniform(-0.75, 0.75, size=pieces)
    steps = step * rng.uniform(0.6, 1.4, size=pieces)
    moves = np.stack([np.sin(angles), np.cos(angles)], axis=1) * steps[:, None]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])


def blowhole(rng: np.random.Generator, plane: Plane, unit: float) -> Marked:
    """Draw one to three dark round pits with a bright crescent on one rim."""
    rows, columns = grid(len(plane))
    marked, mask = plane.copy(), np.zeros(plane.shape, dtype=np.bool_)
    angle = rng.uniform(0, 2 * np.pi)
    for _ in range(rng.integers(1, 4)):
        row, column = _middle(rng, plane, 0.27)
        radius = rng.uniform(1.9, 4.0) * unit
        r, c = (rows - row) / radius, (columns - column) * rng.uniform(0.8, 1.25) / radius
        distance = np.hypot(r, c)
        pit = 1 / (1 + np.exp((distance - 1) * 5))
        facing = (r * np.sin(angle) + c * np.cos(angle)) / np.maximum(distance, 0.3)
        rim = np.exp(-(((distance - 1.25) / 0.3) ** 2)) * np.clip(facing, 0, None)
        marked = marked * (1 - rng.uniform(0.45, 0.8) * pit) + rng.uniform(0.08, 0.2) * rim
        mask |= distance < 1.15
    return Marked(marked.astype(np.float32), _unchanged(plane), mask)


def stain(rng: np.random.Generator, plane: Plane, unit: float) -> Marked:
    """Draw a soft, ragged, slightly brown darkening with a darker rim."""
    rows, columns = grid(len(plane))
    row, column = _middle(rng, plane, 0.15)
    radius = rng.uniform(10, 18) * unit
    stretch = rng.uniform(0.7, 1.4)
    distance = np.hypot((rows - row) / radius, (columns - column) * stretch / radius)
    ragged = distance + 0.16 * blotches(rng, len(plane), 3.5 * unit)
    inside = 1 / (1 + np.exp((ragged - 1) * 9))
    rim = np.exp(-(((ragged - 0.93) / 0.1) ** 2))
    depth = rng.uniform(0.14, 0.3) * inside + rng.uniform(0.0, 0.1) * rim
    warmth = rng.uniform(0.03, 0.12) * inside
    return Marked((plane * (1 - depth)).astype(np.float32), warmth.astype(np.float32), ragged < 1.0)


def dent(rng: np.random.Generator, plane: Plane, unit: float) -> Marked:
    """Draw a shallow hollow: light on one slope, shade on the other, the texture unbroken."""
    rows, columns = grid(len(plane))
    row, column = _middle(rng, plane, 0.18)
    radius, angle = rng.uniform(5, 10) * unit, rng.uniform(0, 2 * np.pi)
    r, c = (rows - row) / radius, (columns - column) / radius
    bell = np.exp(-(r**2 + c**2))
    slope = (r * np.sin(angle) + c * np.cos(angle)) * bell
    strength = rng.uniform(0.45, 0.8)
    return Marked((plane + strength * slope).astype(np.float32), _unchanged(plane), bell > 0.1)


DEFECTS: dict[str, Draw] = {
    "blowhole": blowhole,
    "crack": crack,
    "dent": dent,
    "good": good,
    "scratch": scratch,
    "stain": stain,
}
