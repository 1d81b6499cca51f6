"""Built-in photos of a surface inspection, drawn by a program: nothing to download.

Every photo is a pure function of the options and its position. The label is always right; what
makes the set hard is that defects are small and faint, and that surface, light, dust and wiping
marks vary in every class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samix.data.image_set import ImageSet
from samix.errors import InputError

DEMO_CLASSES = ("blowhole", "crack", "dent", "good", "scratch", "stain")
DEMO_IMAGE_SIZE = 32  # px at which the stated difficulty was measured
_FINE = 2  # photos are drawn at twice their size and averaged, as a sensor does
_PLAY = 4  # 64ths of the photo by which the part may be moved
Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class DemoOptions:
    """What the demo set is made of.

    Attributes:
        photos_per_class: Photos of each class.
        views: Photos of each part, taken under other light and slightly moved.
        size: Side of a photo in px.
        seed: Another seed gives other parts.
    """

    photos_per_class: int = 240
    views: int = 2
    size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"photos_per_class": 1, "views": 1, "size": 16, "seed": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                msg = f"demo option {name} must be at least {low}, got {getattr(self, name)}"
                raise InputError(msg)

    @property
    def parts_per_class(self) -> int:
        """Parts of each class; the last one may have fewer photos."""
        return -(-self.photos_per_class // self.views)


@dataclass(frozen=True)
class DemoPhoto:
    """One photo of the demo set.

    Attributes:
        image: (H, W, 3) uint8.
        mask: (H, W) pixels of the defect.
        target: Position in DEMO_CLASSES.
        part: Number of the part, counted over all classes.
        view: Number of the photo of this part.
    """

    image: NDArray[np.uint8]
    mask: Mask
    target: int
    part: int
    view: int


def open_demo(spec: str = "demo") -> ImageSet:
    """Open the built-in photos.

    Args:
        spec: "demo", or with options such as "demo:photos_per_class=60,size=32".

    Returns:
        The photos; keys such as "crack/part0012_view1.png", the part as given group.

    Raises:
        InputError: An option is unknown, or its value is no number or too small.
    """
    options = _options(spec)
    count = len(DEMO_CLASSES) * options.photos_per_class
    places = [_place(index, options) for index in range(count)]
    return ImageSet(
        name="demo",
        classes=DEMO_CLASSES,
        keys=tuple(f"{DEMO_CLASSES[t]}/part{part:04d}_view{v}.png" for t, part, v in places),
        targets=tuple(target for target, _, _ in places),
        given_split=(None,) * count,
        given_group=tuple(f"part{part:04d}" for _, part, _ in places),
        read=DemoReader(options),
        read_mask=DemoMaskReader(options),
    )


def write_demo(folder: str | Path, options: DemoOptions | None = None) -> Path:
    """Write the demo as files: images/<class>/<photo>.png and masks/<class>/<photo>.png.

    Args:
        folder: A folder that does not exist yet or is empty.
        options: What the set is made of.

    Returns:
        The folder; `open_images` opens it.

    Raises:
        InputError: The folder is not empty or cannot be written.
    """
    options = options or DemoOptions()
    root = Path(folder)
    settings = ",".join(f"{f.name}={getattr(options, f.name)}" for f in fields(options))
    images = open_demo(f"demo:{settings}")
    try:
        if root.is_dir() and any(root.iterdir()):
            msg = f"folder '{root}' is not empty; give a new one"
            raise InputError(msg)
        for name in images.classes:
            (root / "images" / name).mkdir(parents=True)
            (root / "masks" / name).mkdir(parents=True)
        for index, key in enumerate(images.keys):
            images.read(index).save(root / "images" / key)
            mask = None if images.read_mask is None else images.read_mask(index)
            if mask is not None:
                mask.save(root / "masks" / key)
    except OSError as error:
        msg = f"'{root}' cannot be written ({error.strerror}); choose another folder"
        raise InputError(msg) from error
    return root


def demo_photo(index: int, options: DemoOptions | None = None) -> DemoPhoto:
    """Draw one photo.

    Args:
        index: Position, in [0, 6 * photos_per_class); classes come one after another.
        options: What the set is made of.

    Returns:
        The photo with the pixels of its defect.

    Raises:
        IndexError: The position lies outside the set.
    """
    options = options or DemoOptions()
    if not 0 <= index < len(DEMO_CLASSES) * options.photos_per_class:
        msg = f"the demo has {len(DEMO_CLASSES) * options.photos_per_class} photos, got {index}"
        raise IndexError(msg)
    target, part, view = _place(index, options)
    number = part - target * options.parts_per_class
    marked, tint = _part(target, number, options.size, options.seed)
    rng = np.random.default_rng([options.seed, target, number, view])
    side = _FINE * options.size
    play = len(marked.plane) - side
    top, left = rng.integers(0, play + 1, size=2)
    window = np.s_[top : top + side, left : left + side]
    brightness = marked.plane[window] * light(rng, side)
    warmth = tint + marked.warmth[window]
    colour = np.stack([1 + warmth, np.ones_like(warmth), 1 - 1.3 * warmth], axis=-1)
    photo = _averaged(brightness[..., None] * colour, options.size)
    photo += rng.normal(0, rng.uniform(0.006, 0.014), size=photo.shape[:2])[..., None]
    image = np.clip(photo * 255 + 0.5, 0, 255).astype(np.uint8)
    mask = (
        _averaged(marked.mask[window][..., None].astype(np.float32), options.size)[..., 0] >= 0.25
    )
    return DemoPhoto(image, mask, target, part, view)


_drawn = lru_cache(maxsize=128)(demo_photo)  # a photo and its mask, or a small set again


@dataclass(frozen=True)
class DemoReader:
    """Draws photos by position."""

    options: DemoOptions

    def __call__(self, index: int) -> Image.Image:
        """Return the photo at a position."""
        return Image.fromarray(_drawn(index, self.options).image)


@dataclass(frozen=True)
class DemoMaskReader:
    """Draws the masks of photos by position."""

    options: DemoOptions

    def __call__(self, index: int) -> Image.Image | None:
        """Return the defect pixels at a position, or None for a good part."""
        photo = _drawn(index, self.options)
        if DEMO_CLASSES[photo.target] == "good":
            return None
        return Image.fromarray(photo.mask.astype(np.uint8) * 255)


def _options(spec: str) -> DemoOptions:
    known = [field.name for field in fields(DemoOptions)]
    chosen: dict[str, int] = {}
    for item in filter(None, spec.partition(":")[2].split(",")):
        name, _, value = (text.strip() for text in item.partition("="))
        if name not in known:
            msg = f"unknown demo option '{name}'; expected one of {', '.join(known)}"
            raise InputError(msg)
        if not value.isdecimal():
            msg = f"demo option {name} must be a whole number, got '{value}'"
            raise InputError(msg)
        chosen[name] = int(value)
    return replace(DemoOptions(), **chosen)


def _place(index: int, options: DemoOptions) -> tuple[int, int, int]:
    target, rest = divmod(index, options.photos_per_class)
    part, view = divmod(rest, options.views)
    return target, target * options.parts_per_class + part, view


@dataclass(frozen=True)
class Marked:
    """A surface with a defect."""

    plane: Plane  # (S, S) brightness
    warmth: Plane  # (S, S) shift towards brown, 0 is none
    mask: Mask  # (S, S) pixels of the defect


DrawDefect = Callable[[np.random.Generator, Plane, float], Marked]


@lru_cache(maxsize=4)
def _part(target: int, part: int, size: int, seed: int) -> tuple[Marked, float]:
    """Draw a part somewhat larger than the photo; also return its tint."""
    unit = _FINE * size / 64
    side = round(_FINE * size + 2 * _PLAY * unit)
    rng = np.random.default_rng([seed, target, part])
    surface = texture(rng, side, unit)
    tint = float(rng.uniform(-0.025, 0.025))
    return DEFECTS[DEMO_CLASSES[target]](rng, surface, unit), tint


def _averaged(fine: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Average blocks of fine pixels: (F, F, C) to (size, size, C)."""
    blocks = fine.reshape(size, _FINE, size, _FINE, -1)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


# Surfaces: texture that belongs to the part, light that belongs to the photo.


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
    """Return soft noise (side, side) of mean 0 and deviation 1; ``length`` of a blotch is in px."""
    rows, columns = _frequencies(side)
    return _shaped_noise(rng, np.exp(-(rows**2 + columns**2) * (2.0 * length) ** 2))


def _brushed(rng: np.random.Generator, side: int, unit: float) -> Plane:
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
    """Return the brightness (side, side), around 0.5, of an unlit, flawless surface.

    ``rng`` is the source of all that varies from part to part, ``unit`` the length of the photo's
    64th part in px.
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
    """Return factors (side, side) around 1: a gradient, a broad highlight and darker corners.

    ``rng`` is the source of all that varies from photo to photo.
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


# Defects, drawn onto a surface together with their pixels.


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


DEFECTS: dict[str, DrawDefect] = {
    "blowhole": blowhole,
    "crack": crack,
    "dent": dent,
    "good": good,
    "scratch": scratch,
    "stain": stain,
}
