from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from samix.data import open_images
from samix.data.reading import decode, to_rgb
from samix.errors import CorruptImageError


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)


def test_grey_becomes_three_equal_channels() -> None:
    out = pixels(to_rgb(Image.new("L", (3, 2), 77)))
    assert out.shape == (2, 3, 3)
    assert (out == 77).all()


def test_one_bit_is_black_and_white() -> None:
    out = pixels(to_rgb(Image.fromarray(np.array([[True, False]]))))
    assert out[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_lie_over_white(mode: str) -> None:
    colour = (0, 0, 0, 0) if mode == "RGBA" else (0, 0)
    assert (pixels(to_rgb(Image.new(mode, (2, 2), colour))) == 255).all()


@pytest.mark.parametrize("strips", [2**20, 3])
def test_a_photo_that_is_transparent_everywhere_keeps_its_colours(
    strips: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samix.data.reading._STRIP", strips)
    monkeypatch.setattr("samix.data.reading.ORDINARY", 1 if strips == 3 else 2**25)
    values = np.random.default_rng(0).integers(0, 256, (5, 3, 3), dtype=np.uint8)
    whole = np.dstack([values, np.zeros((5, 3), np.uint8)])
    photos = [Image.fromarray(whole), Image.fromarray(whole[..., 2:])]
    wanted = [values, np.stack([values[..., 2]] * 3, -1)]
    palette = Image.fromarray(values[..., 0] % 2 + 1, "L").convert("P")
    for photo, pixel in zip(photos, wanted, strict=True):
        buffer = io.BytesIO()
        photo.save(buffer, "PNG")
        assert (pixels(decode(buffer.getvalue(), "clear")) == pixel).all()
    buffer = io.BytesIO()
    palette.save(buffer, "PNG", transparency=b"\0" * 256)
    assert len(np.unique(pixels(decode(buffer.getvalue(), "palette")))) == 2
    whole[0, 0, 3] = 255  # one visible pixel: the others are hidden on purpose
    buffer = io.BytesIO()
    Image.fromarray(whole).save(buffer, "PNG")
    out = pixels(decode(buffer.getvalue(), "hidden"))
    assert (out.reshape(-1, 3)[1:] == 255).all()
    assert (out[0, 0] == values[0, 0]).all()


def test_half_transparent_is_half_white() -> None:
    out = pixels(to_rgb(Image.new("RGBA", (1, 1), (100, 0, 200, 128))))
    assert np.allclose(out[0, 0], [177, 127, 227], atol=1)


def test_palette_with_transparency_lies_over_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=0)
    out = pixels(decode(buffer.getvalue(), "p"))
    assert out[0].tolist() == [[255, 255, 255], [40, 50, 60]]


def test_cmyk_without_ink_is_white() -> None:
    assert (pixels(to_rgb(Image.new("CMYK", (2, 2), (0, 0, 0, 0)))) == 255).all()


def test_cmyk_jpeg_keeps_its_colour() -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(buffer, "JPEG", quality=95)
    red, green, blue = pixels(decode(buffer.getvalue(), "c"))[8, 8].tolist()
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("suffix", ["PNG", "TIFF"])
def test_sixteen_bit_is_scaled_not_clipped(suffix: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, suffix)
    assert pixels(decode(buffer.getvalue(), "wide"))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_wide_integers_are_read_as_sixteen_bit_where_they_fit() -> None:
    values = np.array([[0, 65535]], dtype=np.int32)
    assert pixels(to_rgb(Image.fromarray(values)))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize(("top", "expected"), [(1.0, 255), (255.0, 255), (65535.0, 255)])
def test_float_photos_take_the_smallest_range(top: float, expected: int) -> None:
    values = np.array([[0.0, top]], dtype=np.float32)
    assert pixels(to_rgb(Image.fromarray(values)))[0, 1, 0] == expected


@pytest.mark.parametrize("bad", [-1.0, 1e9, np.nan, np.inf])
def test_float_photos_out_of_range_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="no known range"):
        to_rgb(Image.fromarray(np.array([[0.0, bad]], dtype=np.float32)))


def test_exif_orientation_is_applied() -> None:
    image = Image.new("RGB", (4, 2), "black")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    assert decode(buffer.getvalue(), "turned").size == (2, 4)


def exif_block(order: str, entries: list[tuple[int, int, int, bytes]]) -> bytes:
    """Return an EXIF block with entries of (tag, type, count, four bytes)."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(entries))
    rows = b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0" + head + rows


QUARTER = [(o, (0x0112, 3, 1, struct.pack(f"{o}HH", 6, 0))) for o in "<>"]
ODD = [
    (0x011A, 5, 1, b"\xff\xff\xff\xff"),  # a resolution that lies behind the end
    (0x010F, 2, 2**31, b"\0\0\0\x7f"),  # a name of two gigabytes
    (0x8769, 4, 1, b"\0\0\0\x08"),  # a list that holds itself
    (0x9999, 77, 3, b"abcd"),  # a type that there is not
]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("order", "turn"), QUARTER)
def test_orientation_is_read_beside_odd_tags(
    order: str, turn: tuple[int, int, int, bytes], kind: str
) -> None:
    for entries in ([turn], [*ODD, turn], [turn, *ODD], *([odd, turn] for odd in ODD)):
        buffer = io.BytesIO()
        photo = Image.new("RGB", (40, 20), "black")
        photo.save(buffer, kind, exif=exif_block(order, entries))
        assert decode(buffer.getvalue(), "odd").size == (20, 40)


def test_orientation_of_all_kinds_is_that_of_pillow() -> None:
    values = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    for number in range(10):
        exif = Image.Exif()
        exif[0x0112] = number
        for kind in ("PNG", "TIFF"):
            buffer = io.BytesIO()
            Image.fromarray(values).save(buffer, kind, exif=exif)
            data = buffer.getvalue()
            wanted = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
            assert (pixels(decode(data, "turned")) == np.asarray(wanted)).all()


def test_mutated_exif_blocks_never_make_a_good_photo_unreadable() -> None:
    rng = np.random.default_rng(1)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "camera", 72.0
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    whole = exif.tobytes()
    for kind in ("JPEG", "PNG", "WEBP"):
        for _ in range(60):
            block = bytearray(whole)
            for at in rng.integers(6, len(block), 4):
                block[at] = rng.integers(256)
            buffer = io.BytesIO()
            Image.new("RGB", (40, 20), "black").save(buffer, kind, exif=bytes(block))
            assert decode(buffer.getvalue(), "odd").size in {(40, 20), (20, 40)}


def test_photos_of_several_frames_are_told(tmp_path: Path) -> None:
    frames = [Image.new("L", (8, 8), shade) for shade in (10, 200)]
    (tmp_path / "a").mkdir()
    frames[0].save(tmp_path / "a" / "two.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "a" / "two.tif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "a" / "one.tif")
    images = open_images(tmp_path / "a", need_labels=False)
    assert images.notes == ("2 photos have several pages or frames, of which the first is read.",)
    assert all(pixels(images.read(i)).max() == 10 for i in range(3))


def test_decoding_from_a_file(tmp_path: Path, encoded: Callable[..., bytes]) -> None:
    (tmp_path / "a.png").write_bytes(encoded(3))
    assert decode(tmp_path / "a.png", "a.png").size == (8, 8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_truncated_photos_are_named(kind: str, encoded: Callable[..., bytes]) -> None:
    data = encoded(1, kind, size=64)
    with pytest.raises(CorruptImageError, match=r"photo 'x/y' cannot be read"):
        decode(data[: len(data) // 2], "x/y")


@pytest.mark.parametrize("data", [b"", b"no photo at all", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_photo_are_named_without_object_addresses(data: bytes) -> None:
    with pytest.raises(CorruptImageError, match=r"photo 'bad' cannot be read") as caught:
        decode(data, "bad")
    assert "0x" not in str(caught.value)


def test_damaged_png_checksum_is_found(encoded: Callable[..., bytes]) -> None:
    data = bytearray(encoded(1, "PNG", size=64))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(CorruptImageError):
        decode(bytes(data), "flipped")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptImageError, match="gone"):
        decode(tmp_path / "gone.png", "gone.png")
