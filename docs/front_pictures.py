"""The pictures of README and of "SAMix in five minutes", and the page on which lam moves.

python docs/front_pictures.py

All of it is made of built-in photos. The masks of SAMix are those of the Mixer ``demo`` of the
package, which learned on such photos; samix-p has the Mixer ``natural``.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate

import samix
from samix.data import DEMO_CLASSES, DemoOptions, demo_photo
from samix.mixing import step_generator
from samix.mixing.draws import given_lam

HERE = Path(__file__).parent
IMAGES = HERE / "images"
SIDE, GAP, LINE = 152, 8, 18  # px
SMALL, STEPS = 38, 20  # px of a mask of the page on which lam moves, and steps of its slider
LAM = 0.6  # of the strip
PAIRS = ((340, 44), (248, 1246), (1258, 116), (1030, 538), (1204, 1018))
"""Original and partner, as positions in the demo."""
INK, PAPER, LINES = (50, 50, 50), (255, 255, 255), (190, 190, 190)
NAMES = ("mixup", "cutmix", "samix-p", "samix")
SHOWN = {"mixup": "mixup", "cutmix": "CutMix", "samix-p": "samix-p", "samix": "SAMix"}


def photos_of(pair: Sequence[int], side: int = SIDE) -> Tensor:
    """Return the two photos (2,3,side,side) in [0, 1] of a pair of positions in the demo."""
    options = DemoOptions(size=side)
    drawn = [torch.from_numpy(demo_photo(index, options).image) for index in pair]
    return torch.stack(drawn).permute(0, 3, 1, 2).float() / 255


def classes_of(pair: Sequence[int]) -> tuple[str, str]:
    """Return what the two photos of a pair show."""
    first, second = (DEMO_CLASSES[demo_photo(i, DemoOptions()).target] for i in pair)
    return first, second


def mask_of(policy: samix.Policy, photos: Tensor, lam: float, seed: int = 4) -> Tensor:
    """Return the mask (1,1,H,W) of a pair (2,3,H,W) for a lam; a box stays while lam moves."""
    index = torch.tensor([1, 0])
    with torch.no_grad(), given_lam(lam):
        return policy.plan(photos, index=index, generator=step_generator(seed, 0)).mask[:1]


def open_policies() -> dict[str, samix.Policy]:
    """Return the policies that are shown."""
    policies = {name: samix.create_policy(name) for name in NAMES[:3]}
    return {**policies, "samix": samix.create_policy("samix-p", mixer="demo")}


def strip(policies: dict[str, samix.Policy]) -> Image.Image:
    """Return the strip of the README: two photos, then mix, mask and label of each policy."""
    pair = PAIRS[0]
    photos, names = photos_of(pair), classes_of(pair)
    picture = Image.new("RGB", ((SIDE + GAP) * 6 + GAP, 2 * (SIDE + GAP) + 2 * LINE + GAP), PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(12)

    def put(column: int, row: int, pixels: Tensor, text: str) -> None:
        left, top = GAP + column * (SIDE + GAP), LINE + GAP + row * (SIDE + GAP)
        picture.paste(to_image(pixels), (left, top))
        pen.rectangle((left - 1, top - 1, left + SIDE, top + SIDE), outline=LINES)
        place = (left + SIDE / 2, 4 if row == 0 else top + SIDE + 4)
        pen.text(place, text, INK, font, anchor="ma")

    for column, (photo, name) in enumerate(zip(photos, names, strict=True)):
        put(column, 0, photo, name)
    note = (
        "lam is 0.6.",
        "Where a mask is white, the first",
        "photo is shown; where it is black,",
        "the second. The label says how",
        "much of each that is.",
    )
    for number, text in enumerate(note):
        place = (GAP + SIDE + GAP // 2, LINE + 2 * GAP + SIDE + 28 + number * 18)
        pen.text(place, text, INK, font, anchor="ma")
    for column, (name, policy) in enumerate(policies.items(), start=2):
        mask = mask_of(policy, photos, LAM)
        share = float(mask.mean())
        put(column, 0, mask[0] * photos[0] + (1 - mask[0]) * photos[1], SHOWN[name])
        label = f"{share:.0%} {names[0]}, {1 - share:.0%} {names[1]}"
        put(column, 1, mask[0].expand(3, -1, -1), label)
    return picture


def masks_over_lam(policy: samix.Policy) -> Image.Image:
    """Return a row for each pair: its photos, and the masks of a policy while lam grows."""
    shares = (0.1, 0.3, 0.5, 0.7, 0.9)
    side, columns = 96, 2 + len(shares)
    picture = Image.new(
        "RGB", ((side + GAP) * columns + GAP, LINE + (side + GAP) * len(PAIRS) + GAP), PAPER
    )
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    words = ("first", "second", *(f"lam {share:g}" for share in shares))
    for column, word in enumerate(words):
        pen.text((GAP + column * (side + GAP) + side / 2, 4), word, INK, font, anchor="ma")
    for row, pair in enumerate(PAIRS):
        photos = photos_of(pair, side)
        shown = [*photos, *(mask_of(policy, photos, s)[0].expand(3, -1, -1) for s in shares)]
        for column, pixels in enumerate(shown):
            left, top = GAP + column * (side + GAP), LINE + GAP + row * (side + GAP)
            picture.paste(to_image(pixels), (left, top))
            pen.rectangle((left - 1, top - 1, left + side, top + side), outline=LINES)
    return picture


def player(policies: dict[str, samix.Policy]) -> str:
    """Return the page on which lam moves: all that it needs is in it."""
    pairs = []
    for number, pair in enumerate(PAIRS):
        photos = photos_of(pair)
        sprites = {}
        for name in ("samix-p", "samix"):
            rows = [mask_of(policies[name], photos, step / STEPS) for step in range(STEPS + 1)]
            small = interpolate(torch.cat(rows), (SMALL, SMALL), mode="area")
            sprite = small.reshape(1, -1, SMALL).expand(3, -1, -1)
            sprites[name] = as_address(to_image(sprite), 90)
        pairs.append(
            {
                "names": classes_of(pair),
                "centre": ((0.3, 0.7), (0.75, 0.3))[number % 2],
                "photos": [as_address(to_image(photo), 80) for photo in photos],
                "masks": sprites,
            }
        )
    template = Template((HERE / "mixer_player_template.html").read_text(encoding="utf-8"))
    return template.substitute(data=json.dumps({"side": SIDE, "pairs": pairs}))


def as_address(picture: Image.Image, quality: int) -> str:
    """Return a picture as an address that holds it."""
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=quality)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()


def to_image(pixels: Tensor) -> Image.Image:
    """Return pixels (3,H,W) in [0, 1] as a picture."""
    return Image.fromarray((pixels * 255).round().byte().permute(1, 2, 0).numpy())


def main() -> None:
    """Write the pictures and the page."""
    policies = open_policies()
    small = strip(policies).quantize(200, dither=Image.Dither.NONE)
    small.save(IMAGES / "strip.png", optimize=True)
    masks_over_lam(policies["samix"]).save(IMAGES / "masks.webp", quality=80)
    (HERE / "mixer_player.html").write_text(player(policies), encoding="utf-8")


if __name__ == "__main__":
    main()
