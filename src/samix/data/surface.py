"""Metal surfaces of the demo photos: texture that belongs to the part, light to the photo."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


def grid(side: int) -> tuple[Plane, Plane]:
    """Return the row and the column of each pixel of a square, (side, side) each."""
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    return rows, columns


@lru_cache(maxsize=4)
def _frequencies(side: int) -> tuple[Plane, Plane]:
    """Return the vertical and horizontal frequency of each term of `rfft2`, in cycles a pixel."""
    rows = np.fft.fftfreq(side).astype(np.float32)[:, None]
    columns = np.fft.rfftfreq(side).astype(np.float32)[None, :]
    return rows, columns


def _shaped_noise(rng: np.random.Generator, spectrum: Plane) -> Plane:
    """Return noise of mean 0 and standard deviation 1 with a given amplitude spectrum."""
    side = spectrum.shape[0]
    white = rng.standard_normal((side, side), dtype=np.float32)
    noise = np.fft.irfft2(np.fft.rfft2(white) * spectrum, s=(side, side)).astype(np.float32)
    noise -= noise.mean()
    return noise / max(float(noise.std()), 1e-6)


def blotches(rng: np.random.Generator, side: int, length: float) -> Plane:
    """Return soft noise without a direction.

    Args:
        rng: Source of the noise.
        side: Side of the plane in px.
        length: Size of a blotch in px.

    Returns:
        (side, side), mean 0, standard deviation 1.
    """
    rows, columns = _frequencies(side)
    return _shaped_noise(rng, np.exp(-(rows**2 + columns**2) * (2.0 * length) ** 2))


def _brushed(rng: np.random.Generator, side: int, unit: float) -> Plane:
    """Return the texture of a brushed or ground surface: streaks along one direction."""
    rows, columns = _frequencies(side)
    angle = rng.uniform(-0.12, 0.12) + (np.pi / 2 if rng.random() < 0.5 else 0.0)
    along = columns * np.cos(angle) + rows * np.sin(angle)
    across = rows * np.cos(angle) - columns * np.sin(angle)
    length, width = rng.uniform(6, 16) * unit, rng.uniform(0.25, 0.5) * unit
    spectrum = np.exp(-((along * length) ** 2) - (across * width * 2) ** 2)
    return _shaped_noise(rng, spectrum * (np.abs(across) + 0.02) ** -0.25)


def _cast(rng: np.random.Generator, side: int, unit: float) -> Plane:
    """Return the texture of a cast or blasted surface: grain of several sizes."""
    rows, columns = _frequencies(side)
    radius = np.sqrt(rows**2 + columns**2) * unit
    steep = rng.uniform(0.7, 1.1)
    return _shaped_noise(rng, (radius + 0.03) ** -steep * np.exp(-((radius / 0.45) ** 2)))


def texture(rng: np.random.Generator, side: int, unit: float) -> Plane:
    """Return the brightness of an unlit, flawless surface.

    Args:
        rng: Source of all that varies from part to part.
        side: Side of the plane in px.
        unit: Length of the photo's 64th part in px.

    Returns:
        (side, side) brightness around 0.5.
    """
    kind = _brushed if rng.random() < 0.5 else _cast
    plane = rng.uniform(0.42, 0.58) + rng.uniform(0.02, 0.05) * kind(rng, side, unit)
    plane += rng.uniform(0.0, 0.02) * blotches(rng, side, 9 * unit)
    return _dusty(rng, _wiped(rng, plane, unit), unit).astype(np.float32)


def _wiped(rng: np.random.Generator, plane: Plane, unit: float) -> Plane:
    """Add a broad faint wiping mark to about half of the surfaces; it is no defect."""
    if rng.random() < 0.5:
        return plane
    rows, columns = grid(len(plane))
    angle, centre = rng.uniform(0, np.pi), rng.uniform(0.3, 0.7) * len(plane)
    across = (rows - centre) * np.cos(angle) - (columns - centre) * np.sin(angle)
    strength = rng.choice([-1.0, 1.0]) * rng.uniform(0.01, 0.03)
    mark = strength * np.exp(-((across / (rng.uniform(5, 12) * unit)) ** 2))
    return np.asarray(plane + mark, dtype=np.float32)


def _dusty(rng: np.random.Generator, plane: Plane, unit: float) -> Plane:
    """Add up to six specks of dust, smaller than any defect."""
    plane = plane.copy()
    for _ in range(rng.integers(0, 7)):
        row, column = rng.integers(0, len(plane) - 2, size=2)
        side = 1 + int(rng.random() < 0.5 * unit - 0.5)
        plane[row : row + side, column : column + side] += rng.choice([-1, 1]) * rng.uniform(
            0.1, 0.2
        )
    return plane


def light(rng: np.random.Generator, side: int) -> Plane:
    """Return the light of one photo: a gradient, a broad highlight and darker corners.

    Args:
        rng: Source of all that varies from photo to photo.
        side: Side of the plane in px.

    Returns:
        (side, side) factors around 1.
    """
    rows, columns = grid(side)
    y, x = rows / side - 0.5, columns / side - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    gradient = rng.uniform(0.1, 0.45) * (x * np.cos(angle) + y * np.sin(angle))
    centre = rng.uniform(-0.4, 0.4, size=2)
    spread = rng.uniform(0.3, 0.6)
    highlight = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / spread**2)
    corners = rng.uniform(0.1, 0.4) * (y**2 + x**2)
    exposure = rng.uniform(0.82, 1.18)
    lit = exposure * (1 + gradient + rng.uniform(0.0, 0.25) * highlight - corners)
    return np.asarray(lit, dtype=np.float32)
