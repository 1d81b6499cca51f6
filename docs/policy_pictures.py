"""A picture of each policy: pairs of built-in photos, mask, mix and label."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate

from samix.checking import policy_of, stand_in_evidence
from samix.data import DEMO_CLASSES, DemoOptions, demo_photo
from samix.mixing import MixPlan, blend, mix_targets, step_generator
from samix.policies import Policy

SIDE, GAP, LINE = 96, 8, 18  # px
ROWS, SEED = 3, 3
FEATURES = 24  # px of the photos that stand for features
PAPER, INK, LINES = (255, 255, 255), (60, 60, 60), (190, 190, 190)
HEADINGS = ("original", "partner", "mask", "mix")


def draw_picture(name: str) -> Image.Image:
    """Return rows of original, partner, mask and mix.

    Args:
        name: A key of :data:`samix.POLICIES`.
    """
    policy = policy_of(name)
    if policy.traits.learned:  # a fresh Mixer mixes as mixup does
        policy = policy_of("samix-p")
    photos, target, names = demo_batch()
    size = FEATURES if policy.traits.seam == "feature" else SIDE
    images = interpolate(photos, (size, size), mode="area")
    mixed, partner, plan, soft = mixes(policy, images, target)
    width = 4 * SIDE + 5 * GAP
    picture = Image.new("RGB", (width, LINE + ROWS * (SIDE + LINE + GAP) + GAP), PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    for column, heading in enumerate(HEADINGS):
        pen.text((GAP + column * (SIDE + GAP), 2), heading, INK, font)
    for row in range(ROWS):
        top = GAP + LINE + row * (SIDE + LINE + GAP)
        mask = plan.mask[row].expand(3, -1, -1)
        for column, shown in enumerate((images[row], partner[row], mask, mixed[row])):
            left = GAP + column * (SIDE + GAP)
            picture.paste(to_image(shown), (left, top))
            pen.rectangle((left - 1, top - 1, left + SIDE, top + SIDE), outline=LINES)
        label = " + ".join(
            f"{float(share):.2f} {names[k]}"
            for k, share in enumerate(soft[row])
            if float(share) > 0.005
        )
        pen.text((width - GAP, top + SIDE + 2), label, INK, font, anchor="ra")
    return picture


def mixes(policy: Policy, images: Tensor, target: Tensor) -> tuple[Tensor, Tensor, MixPlan, Tensor]:
    """Return mixed images, their partners, the plan and the soft targets."""
    generator, classes = step_generator(SEED, 0), len(DEMO_CLASSES)
    others = images
    if policy.traits.sources == "history":
        policy.after(images, torch.nn.functional.one_hot(target, classes))
        earlier = policy.plan(images, generator=step_generator(SEED, 1))
        others = blend(images, earlier)
        policy.after(others, mix_targets(target, earlier, classes))
    evidence = stand_in_evidence(images, policy.traits.needs)
    with torch.no_grad():
        plan = policy.plan(images, target=target, evidence=evidence, generator=generator)
        mixed = policy.mix(images, plan)
    return mixed, others[plan.index], plan, mix_targets(target, plan, classes)


def demo_batch() -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Return photos (6,3,96,96) of all classes, their classes, and the names of classes."""
    options = DemoOptions(photos_per_class=2, views=1, size=SIDE)
    drawn = [demo_photo(2 * k, options) for k in range(len(DEMO_CLASSES))]
    images = torch.stack([torch.from_numpy(photo.image) for photo in drawn])
    target = torch.tensor([photo.target for photo in drawn])
    return images.permute(0, 3, 1, 2).float() / 255, target, DEMO_CLASSES


def to_image(pixels: Tensor) -> Image.Image:
    """Return pixels (3,H,W) in [0, 1] as a picture of 96 px."""
    values = (pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(values).resize((SIDE, SIDE), Image.Resampling.NEAREST)
