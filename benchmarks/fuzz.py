"""Damaged photos and tables from a seed: what is read is read right, the rest is a sentence.

    python benchmarks/fuzz.py --photos 20000 --tables 2000 --output fuzz.json

Each case is a good file of a few hundred bytes in which some bytes were changed, removed, doubled
or cut off, chosen by the seed and the number of the case. Counted are what was read, what was
refused in a sentence, and faults: another error than a refusal, a photo that is refused though
Pillow reads it, and a photo of 8-bit grey or colour whose pixels are, in no orientation, those of
Pillow's plain decode. The file of results is written every 200 cases and gone on from; a case in
which the process itself died is counted as died. Not part of the tests: it takes minutes.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from samix.data import open_images
from samix.data.reading import decode
from samix.data.tables import with_labels
from samix.errors import InputError

EVERY = 200
MOST = 1_000_000  # px that Pillow is asked to decode
KEPT = 50  # faults of which details are kept
_ORIENTATION = 0x0112
_PLAIN = ("L", "RGB", "1")


def good_photos() -> list[bytes]:
    """Return small photos of the formats and the kinds of headers that are damaged."""
    noise = np.random.default_rng(0).integers(0, 255, (23, 17, 3), dtype=np.uint8)
    colour, found = Image.fromarray(noise), []
    exif = Image.Exif()
    exif[_ORIENTATION], exif[0x010F], exif[0x9003] = 6, "maker", "2024:01:01 00:00:00"
    for form, options in (
        ("JPEG", {"exif": exif, "dpi": (300, 300)}), ("JPEG", {"progressive": True}),
        ("PNG", {"exif": exif, "dpi": (72, 72)}), ("PNG", {"optimize": True}),
        ("TIFF", {"exif": exif}), ("TIFF", {"compression": "tiff_lzw"}),
    ):  # fmt: skip
        for image in (colour, colour.convert("L"), colour.convert("P"), colour.convert("CMYK")):
            if image.mode in {"JPEG": ("RGB", "L", "CMYK"), "PNG": ("RGB", "L", "P")}.get(
                form, ("RGB", "L", "P", "CMYK")
            ):
                file = io.BytesIO()
                image.save(file, form, **options)
                found.append(file.getvalue())
    return found


def damaged(data: bytes, draws: random.Random, header: int) -> bytes:
    """Return bytes in which one to three places were changed, most of them in the header."""
    changed = bytearray(data)
    for _ in range(draws.randint(1, 3)):
        end = min(header, len(changed)) if draws.random() < 0.8 else len(changed)
        place = draws.randrange(max(end, 1))
        kind = draws.randrange(12)
        if kind == 0:
            changed[place:place] = bytes(changed[place : place + draws.randint(1, 8)])
        elif kind == 1:
            del changed[place : place + draws.randint(1, 8)]
        elif kind == 2 and draws.random() < 0.2:
            del changed[place:]
        elif kind < 7 and changed:
            changed[place : place + 1] = bytes([changed[place] ^ 1 << draws.randrange(8)])
        else:
            changed[place : place + 1] = bytes([draws.choice((0, 1, 255, draws.randrange(256)))])
    return bytes(changed)


def plain_pixels(data: bytes) -> np.ndarray[Any, Any] | None:
    """Return Pillow's plain decode (H,W,3); None where it refuses, or where white is a choice."""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.size[0] * opened.size[1] > MOST:
                return None
            opened.load()
            if opened.mode not in _PLAIN or "transparency" in opened.info:
                return None
            return np.asarray(opened.convert("RGB"))
    except Exception:
        return None


def photo_case(data: bytes) -> str:
    """Read a photo; return "read", "refused", or what is wrong."""
    try:
        read = np.asarray(decode(data, "photo", max_megapixels=MOST // 1_000_000))
    except InputError as error:
        if plain_pixels(data) is None:
            return "refused"
        return f"refused, though Pillow reads it: {error}"
    plain = plain_pixels(data)
    if plain is None:
        return "read, not compared"
    ways = [np.rot90(side, turns) for side in (plain, plain[:, ::-1]) for turns in range(4)]
    return "read" if any(np.array_equal(read, way) for way in ways) else "WRONG: other pixels"


def table_bytes(kind: str) -> bytes:
    """Return a good table of labels for the photos of :func:`folder`."""
    names, labels = [f"{n}.png" for n in range(8)], ["good", "bad"] * 4
    if kind == "parquet":
        file = io.BytesIO()
        pq.write_table(pa.table({"path": names, "label": labels}), file)
        return file.getvalue()
    rows = "\n".join(f"{a};{b};{i}" for i, (a, b) in enumerate(zip(names, labels, strict=True)))
    return f"path;label;number\n{rows}\n".encode()


def table_case(folder: Path, data: bytes, kind: str) -> str:
    """Read labels; return "read", "refused", or what is wrong."""
    table = folder.parent / f"labels.{kind}"
    table.write_bytes(data)
    try:
        images = with_labels(open_images(str(folder), need_labels=False), table)
    except InputError:
        return "refused"
    return "read" if len(images.targets) == len(images) else "WRONG: labels are missing"


def make_case(number: int, photos: int, seed: int, folder: Path) -> Callable[[], str]:
    """Return the case of a number: a photo, then a table, of CSV and Parquet in turn."""
    draws = random.Random(f"{seed} {number}")
    if number < photos:
        data = damaged(draws.choice(GOOD), draws, header=200)
        return lambda: photo_case(data)
    kind = ("csv", "parquet")[number % 2]
    table = damaged(table_bytes(kind), draws, header=10_000)
    return lambda: table_case(folder, table, kind)


GOOD = good_photos()


def run(photos: int, tables: int, seed: int, output: Path) -> dict[str, Any]:
    """Run all cases that were not run before, and write what came of them."""
    state: dict[str, Any] = {"seed": seed, "photos": photos, "next": 0, "counts": {}, "faults": []}
    begun = output.with_suffix(".begun")
    if output.is_file():
        state = json.loads(output.read_text())
        if begun.is_file():  # the process died in this case; those before it are run again
            state["faults"].append([int(begun.read_text()), "DIED"])
    died = {number for number, what in state["faults"] if what == "DIED"}
    counts: dict[str, Counter[str]] = {k: Counter(v) for k, v in state["counts"].items()}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photos"
        folder.mkdir()
        for name in range(8):
            Image.effect_noise((9, 9), 60 + name).save(folder / f"{name}.png")
        for number in range(state["next"], photos + tables):
            if number in died:
                continue
            begun.write_text(str(number))
            group = "photos" if number < photos else ("csv", "parquet")[number % 2]
            try:
                what = make_case(number, photos, seed, folder)()
            except Exception:
                what = "WRONG: " + traceback.format_exc(limit=-2).strip().splitlines()[-1]
            counts.setdefault(group, Counter())[what.partition(":")[0]] += 1
            if what.startswith(("WRONG", "refused, though")) and len(state["faults"]) < KEPT:
                state["faults"].append([number, what])
            if (number + 1) % EVERY == 0 or number + 1 == photos + tables:
                state |= {"next": number + 1, "counts": {k: dict(v) for k, v in counts.items()}}
                output.write_text(json.dumps(state, indent=1))
    begun.unlink(missing_ok=True)
    return state


def main() -> None:
    """Run the cases and print what came of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--tables", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("fuzz.json"))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with open(os.devnull, "w") as nowhere:  # what libraries of C print about damaged files
        os.dup2(nowhere.fileno(), 2)
    found = run(given.photos, given.tables, given.seed, given.output)
    for group, counts in found["counts"].items():
        print(f"{group}: {', '.join(f'{what} {count:,}' for what, count in counts.items())}")
    for number, what in found["faults"]:
        print(f"case {number}: {what}")


if __name__ == "__main__":
    main()
