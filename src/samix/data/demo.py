"""Built-in photos of a surface inspection, drawn by a program: nothing to download.

Every photo is a pure function of the options and its position. The label is always right; what
makes the set hard is that defects are small and faint, and that surface, light, dust and wiping
marks vary in every class.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samix.data.collection import ImageSet
from samix.data.defects import DEFECTS, Marked, Mask
from samix.data.surface import light, texture
from samix.errors import InputError

DEMO_CLASSES = tuple(DEFECTS)
DEMO_IMAGE_SIZE = 32  # px at which the stated difficulty was measured
_FINE = 2  # photos are drawn at twice their size and averaged, as a sensor does
_PLAY = 4  # 64ths of the photo by which the part may be moved


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


def _place(index: int, options: DemoOptions) -> tuple[int, int, int]:
    """Return target, part and view of a position."""
    target, rest = divmod(index, options.photos_per_class)
    part, view = divmod(rest, options.views)
    return target, target * options.parts_per_class + part, view


@lru_cache(maxsize=4)
def _part(target: int, part: int, size: int, seed: int) -> tuple[Marked, float]:
    """Draw a part somewhat larger than the photo; also return its tint."""
    unit = _FINE * size / 64
    side = round(_FINE * size + 2 * _PLAY * unit)
    rng = np.random.default_rng([seed, target, part])
    surface = texture(rng, side, unit)
    tint = float(rng.uniform(-0.025, 0.025))
    return DEFECTS[DEMO_CLASSES[target]](rng, surface, unit), tint


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


def _averaged(fine: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Average blocks of fine pixels: (F, F, C) to (size, size, C)."""
    blocks = fine.reshape(size, _FINE, size, _FINE, -1)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


@dataclass(frozen=True)
class DemoReader:
    """Draws photos by position."""

    options: DemoOptions

    def __call__(self, index: int) -> Image.Image:
        """Return the photo at a position."""
        return Image.fromarray(demo_photo(index, self.options).image)


@dataclass(frozen=True)
class DemoMaskReader:
    """Draws the masks of photos by position."""

    options: DemoOptions

    def __call__(self, index: int) -> Image.Image | None:
        """Return the defect pixels at a position, or None for a good part."""
        photo = demo_photo(index, self.options)
        if DEMO_CLASSES[photo.target] == "good":
            return None
        return Image.fromarray(photo.mask.astype(np.uint8) * 255)


def open_demo(spec: str = "demo") -> ImageSet:
    """Open the built-in photos.

    Args:
        spec: "demo", or with options such as "demo:photos_per_class=60,size=32".

    Returns:
        The photos; keys such as "crack/part0012_view1.png", the part as given group.

    Raises:
        InputError: Unknown option, or a value that is no number or too small.
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
