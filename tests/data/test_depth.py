from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samix.data import join_images, open_images
from samix.data.depth import Depth, depth_from
from samix.data.folder import open_unsorted
from samix.data.reading import decode
from samix.data.verifying import deepened
from samix.errors import CorruptImageError, InputError

RAMP = np.linspace(0, 4095, 64 * 48).round().astype(np.uint16).reshape(48, 64)
EIGHT = np.round(RAMP * (255 / 4095)).astype(np.uint8)


def png_of(values: np.ndarray) -> bytes:
    """Write (H, W, C) values of 16 bits, which Pillow cannot write in colour."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def tiff_of(
    values: np.ndarray,
    order: str = "<",
    *,
    apart: bool = False,
    packed: bool = False,
    meaning: int | None = None,
) -> bytes:
    """Write (H, W, C) values of 16 bits as TIFF.

    Args:
        values: The pixels.
        order: Of the bytes.
        apart: Each colour in a plane of its own.
        packed: Compressed.
        meaning: The tag PhotometricInterpretation; 0 is white where the value is 0.
    """
    height, width, channels = values.shape
    planes = [values[..., i] for i in range(channels)] if apart else [values]
    data = [plane.astype(f"{order}u2").tobytes() for plane in planes]
    data = [zlib.compress(part) if packed else part for part in data]
    body, starts = b"", []
    for part in data:
        starts.append(8 + len(body))
        body += part

    def place(code: str, numbers: list[int]) -> int:
        nonlocal body
        if len(numbers) == 1:
            return numbers[0]
        start = 8 + len(body)
        body += struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        return start

    colour = channels >= 3
    tags = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, channels, place("H", [16] * channels)),
        (259, 3, 1, 8 if packed else 1),
        (262, 3, 1, (2 if colour else 1) if meaning is None else meaning),
        (273, 4, len(data), place("I", starts)),
        (277, 3, 1, channels),
        (278, 3, 1, height),
        (279, 4, len(data), place("I", [len(part) for part in data])),
        (284, 3, 1, 2 if apart else 1),
    ]
    out = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(body)) + body
    out += struct.pack(f"{order}H", len(tags))
    for tag, kind, count, value in tags:
        short = kind == 3 and count == 1
        out += struct.pack(f"{order}HHI", tag, kind, count)
        out += struct.pack(f"{order}HH", value, 0) if short else struct.pack(f"{order}I", value)
    return out + struct.pack(f"{order}I", 0)


def colours(values: np.ndarray) -> np.ndarray:
    return np.stack([values, values // 2, values[::-1]], axis=-1)


def pillow(values: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


TWELVE = Depth(integers=4095.0)
WAYS: dict[str, Callable[[np.ndarray], bytes]] = {
    "png": lambda v: pillow(v, "PNG"),
    "tiff": lambda v: pillow(v, "TIFF"),
    "int32": lambda v: pillow(v.astype(np.int32), "TIFF"),
    "rgb png": lambda v: png_of(np.stack([v] * 3, -1)),
    "rgba png": lambda v: png_of(np.stack([v, v, v, np.full_like(v, 65535)], -1)),
    "grey png with alpha": lambda v: png_of(np.stack([v, np.full_like(v, 65535)], -1)),
    "rgb tiff": lambda v: tiff_of(np.stack([v] * 3, -1)),
    "rgb tiff of Motorola": lambda v: tiff_of(np.stack([v] * 3, -1), ">"),
    "packed rgb tiff": lambda v: tiff_of(np.stack([v] * 3, -1), packed=True),
    "rgb tiff in planes": lambda v: tiff_of(np.stack([v] * 3, -1), apart=True),
    "rgb tiff in planes of Motorola": lambda v: tiff_of(np.stack([v] * 3, -1), ">", apart=True),
    "rgbx": lambda v: tiff_of(np.stack([v, v, v, np.full_like(v, 65535)], -1)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("strips", [2**20, 700])
def test_twelve_bits_in_sixteen_are_256_grey_levels(
    way: str, strips: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samix.data.reading._STRIP", strips)
    out = np.asarray(decode(WAYS[way](RAMP), "ramp", depth=TWELVE))
    assert np.abs(out.astype(int) - EIGHT[..., None]).max() == 0
    assert len(np.unique(out)) == 256


@pytest.mark.parametrize("way", WAYS)
def test_a_dark_photo_of_a_set_stays_dark(way: str) -> None:
    dark = RAMP // 8  # at most 511: read by itself it would be one of 10 bits
    out = np.asarray(decode(WAYS[way](dark), "dark", depth=TWELVE))
    assert np.abs(out.astype(int) - np.round(dark * (255 / 4095))[..., None]).max() == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_photo_that_is_deeper_than_what_was_learned_from_is_refused(way: str) -> None:
    with pytest.raises(CorruptImageError, match="white is 4095 in the photos that were learned"):
        decode(WAYS[way](np.minimum(RAMP * 4, 16383)), "deep", depth=TWELVE)


def test_colours_of_sixteen_bits_and_in_planes() -> None:
    values = colours((RAMP.astype(np.uint32) * 16).astype(np.uint16))
    for data in (png_of(values), tiff_of(values), tiff_of(values, apart=True)):
        assert (np.asarray(decode(data, "whole")) == values >> 8).all()


@pytest.mark.parametrize("packed", [False, True])
def test_white_is_zero_at_sixteen_bits_as_at_eight(packed: bool) -> None:
    out = decode(tiff_of(RAMP[..., None], packed=packed, meaning=0), "x", depth=TWELVE)
    assert np.abs(np.asarray(out).astype(int) - (255 - EIGHT)[..., None]).max() == 0


def test_packed_planes_of_few_bits_are_explained() -> None:
    with pytest.raises(CorruptImageError, match="save it with its colours together"):
        decode(tiff_of(colours(RAMP), apart=True, packed=True), "x")


@pytest.fixture
def deep_folder(tmp_path: Path) -> Path:
    """Twelve bits: bright photos of one class, dark ones of the other, and one of 8 bits."""
    for name, values in (("ok", RAMP), ("scratch", RAMP // 16)):
        (tmp_path / "deep" / name).mkdir(parents=True)
        for i in range(3):
            data = pillow(np.roll(values, i, 1), "PNG" if i else "TIFF")
            (tmp_path / "deep" / name / f"{i}.{'png' if i else 'tif'}").write_bytes(data)
    Image.fromarray(EIGHT).save(tmp_path / "deep" / "ok" / "plain.png")
    return tmp_path / "deep"


def test_one_depth_for_a_whole_set(deep_folder: Path) -> None:
    for _ in range(2):  # the second time from the record
        images = open_images(deep_folder)
        assert images.depth == TWELVE
        peaks = {key: np.asarray(images.read(i)).max() for i, key in enumerate(images.keys)}
        assert set(peaks.values()) == {255, round(255 * (4095 // 16) / 4095)}
        assert peaks["scratch/1.png"] == round(255 * (4095 // 16) / 4095)
        assert "6 of 7 photos have more than 8 bits a colour; white is 4,095 (12 bits)" in str(
            images.notes
        )
    part = images.subset([4]).with_depth(Depth(integers=65535.0))
    assert np.asarray(part.read(0)).max() <= 1
    assert open_images(deep_folder, depth=Depth(integers=65535.0)).depth == Depth(65535.0)
    with pytest.raises(InputError, match="white is 255 in the photos that were learned from"):
        open_images(deep_folder, depth=Depth(integers=255.0))


def test_float_photos_have_one_range_a_set(tmp_path: Path) -> None:
    for name, top in (("a", 1.0), ("a", 0.4), ("b", 1.004), ("b", 200.0)):
        (tmp_path / "f" / name).mkdir(parents=True, exist_ok=True)
        values = np.linspace(0, top, 100, dtype=np.float32).reshape(10, 10)
        Image.fromarray(values).save(tmp_path / "f" / name / f"{top}.tif")
    images = open_images(tmp_path / "f")
    assert images.depth == Depth(floats=255.0)
    assert [np.asarray(images.read(i)).max() for i in range(4)] == [0, 1, 1, 200]
    (tmp_path / "f" / "b" / "200.0.tif").unlink()
    images = open_images(tmp_path / "f")
    assert images.depth == Depth(floats=1.0)
    assert [np.asarray(images.read(i)).max() for i in range(3)] == [102, 255, 255]


@pytest.mark.parametrize(
    ("high", "bits"), [(65535, 16), (65536, 17), (70_000, 17), (131_072, 18), (2**31 - 1, 31)]
)
def test_values_above_sixteen_bits_have_a_range_that_fits(
    tmp_path: Path, high: int, bits: int
) -> None:
    """Photos of 32 bits up to 70,000 were nearly black: 24 bits were taken."""
    white = 2**bits - 1
    for name, share in (("ok", 1.0), ("ng", 0.25)):
        (tmp_path / name).mkdir()
        values = np.round(np.linspace(0, high * share, 256)).astype(np.int32).reshape(16, 16)
        Image.fromarray(values).save(tmp_path / name / "a.tif")
    images = open_images(tmp_path)
    assert images.depth == Depth(integers=float(white))
    assert depth_from(images.depth.record()) == images.depth
    assert f"white is {white:,} ({bits} bits) in all of them" in images.notes[-1]
    peaks = {key: np.asarray(images.read(i)).max() for i, key in enumerate(images.keys)}
    assert peaks == {"ng/a.tif": round(63.75 * high / white), "ok/a.tif": round(255 * high / white)}
    assert peaks["ok/a.tif"] > 126


def test_joined_sets_share_the_deeper_white(deep_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "more" / "x").mkdir(parents=True)
    (tmp_path / "more" / "x" / "a.png").write_bytes(pillow(RAMP * 4, "PNG"))
    one, other = open_images(deep_folder), open_images(tmp_path / "more", need_labels=False)
    both = join_images([("deep", one), ("more", other)])
    assert both.depth == Depth(integers=16383.0)
    assert np.asarray(both.read(len(both) - 1)).max() == 255
    assert 60 < np.asarray(both.read(0)).max() < 68


def test_photos_to_judge_are_read_as_the_run_learned_from_them(deep_folder: Path) -> None:
    images = open_unsorted([str(deep_folder / "scratch")])
    learned = deepened(images, TWELVE)
    assert np.asarray(learned.read(0)).max() == round(255 * (4095 // 16) / 4095)
    assert learned.notes == ()
    unknown = deepened(images, None)
    assert unknown.depth == Depth(integers=255.0)
    assert "which the run did not learn from" in unknown.notes[0]
    plain = open_unsorted([str(deep_folder / "ok" / "plain.png")])
    assert deepened(plain, None).notes == ()


@pytest.mark.parametrize("record", [3, {"integers": 4000.0}, {"floats": "1"}, {"other": None}])
def test_the_depth_in_a_file_of_a_stranger_is_checked(record: object) -> None:
    with pytest.raises(ValueError, match="depth: expected"):
        depth_from(record)


def test_the_depth_in_a_file() -> None:
    assert depth_from(None) is None
    assert depth_from(TWELVE.record()) == TWELVE
