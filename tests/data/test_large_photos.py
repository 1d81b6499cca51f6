"""Photos of any size are read within bounded memory, or refused in a sentence."""

from __future__ import annotations

import io
import multiprocessing
import resource
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from torch import Tensor

from samix.cli import main
from samix.data import ImageSet, join_images, open_images
from samix.data.duplicates.fingerprints import take_fingerprints
from samix.data.folder import open_unsorted
from samix.data.reading import GAP, ORDINARY, ROOM, decode, kept_room, room_for, to_rgb
from samix.data.store import PhotoStore
from samix.data.verifying import verify
from samix.data.views import squeeze
from samix.errors import CorruptImageError, InputError, LargeImageError
from samix.training.config import TrainConfig
from samix.training.warm_start import open_sources

ORIENTATION = 0x0112
HEIGHT, WIDTH = 60, 83


def noise(mode: str) -> Image.Image:
    """Return a photo of some mode in which every pixel is another one."""
    rng = np.random.default_rng(0)
    if mode in {"I;16", "I", "F"}:
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        return Image.fromarray(rng.integers(0, 65536, (HEIGHT, WIDTH)).astype(kind))
    bands = Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8))
    if mode in {"RGBA", "CMYK"}:
        return bands if mode == "RGBA" else Image.frombytes(mode, bands.size, bands.tobytes())
    return bands.convert("RGB").convert(mode) if mode != "LA" else bands.convert("LA")


def saved(
    photo: Image.Image, kind: str, orientation: int | None = None, **options: object
) -> bytes:
    if orientation is not None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    buffer = io.BytesIO()
    photo.save(buffer, kind, **options)
    return buffer.getvalue()


def in_one_piece(data: bytes) -> Image.Image:
    """Read a photo as it was always read: turned as a whole, then converted as a whole."""
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if turned.mode.startswith("I") or turned.mode == "F":
        scaled = np.asarray(turned).astype(np.float64) * (255.0 / 65535.0)
        return Image.fromarray(np.round(scaled).astype(np.uint8)).convert("RGB")
    return to_rgb(turned)


CASES = [
    *((mode, "PNG", {}) for mode in ("L", "1", "P", "RGB", "RGBA", "LA", "I;16")),
    *((mode, "TIFF", {}) for mode in ("RGB", "I;16", "I", "F", "CMYK")),
    ("P", "PNG", {"transparency": 3}),
    ("RGB", "PNG", {"transparency": (7, 9, 200)}),
    ("L", "PNG", {"transparency": 77}),
    ("CMYK", "JPEG", {}),
    ("L", "JPEG", {}),
    ("RGB", "JPEG", {"progressive": True}),
    ("RGBA", "WEBP", {"lossless": True}),
]


@pytest.fixture
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read small photos as large ones, in strips of a few rows."""
    monkeypatch.setattr("samix.data.reading.ORDINARY", 0)
    monkeypatch.setattr("samix.data.reading._STRIP", 7 * WIDTH)


@pytest.mark.parametrize("orientation", [None, 1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize(("mode", "kind", "options"), CASES)
def test_ordinary_photos_are_read_as_always_whatever_is_needed_of_them(
    mode: str, kind: str, options: dict[str, object], orientation: int | None
) -> None:
    data = saved(noise(mode), kind, orientation, **options)
    whole = in_one_piece(data)
    for side in (None, 4) if kind != "JPEG" else (None,):
        found = decode(data, "a", side=side)
        assert found.mode == "RGB"
        assert np.array_equal(np.asarray(found), np.asarray(whole))


@pytest.mark.parametrize("orientation", [None, 6])
@pytest.mark.parametrize("side", [20, 60, 130, 200])
def test_an_ordinary_jpeg_is_reduced_while_it_is_decoded(
    side: int, orientation: int | None
) -> None:
    grey = Image.linear_gradient("L").resize((400, 500))
    photo = Image.merge(
        "RGB", [grey, grey.rotate(180), Image.radial_gradient("L").resize((400, 500))]
    )
    data = saved(photo, "JPEG", orientation, quality=95)
    whole, found = in_one_piece(data), decode(data, "a", side=side)
    assert min(found.size) >= min(2 * side, 400)
    assert (found.size[0] < 400) == (side <= 100)
    assert found.size[0] / found.size[1] == pytest.approx(whole.size[0] / whole.size[1], rel=0.03)
    own, other = (squeeze(image, side).float() for image in (found, whole))
    assert (own - other).abs().mean() < 1.5


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("orientation", [None, 1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize(("mode", "kind", "options"), CASES)
def test_large_photos_are_the_same_in_strips(
    mode: str, kind: str, options: dict[str, object], orientation: int | None
) -> None:
    data = saved(noise(mode), kind, orientation, **options)
    found = decode(data, "a")
    assert found.mode == "RGB"
    assert np.array_equal(np.asarray(found), np.asarray(in_one_piece(data)))


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("case", [case for case in CASES if case[1] in {"PNG", "TIFF"}])
def test_a_reduced_photo_is_the_average_of_the_converted_one(
    case: tuple[str, str, dict[str, object]],
) -> None:
    mode, kind, options = case
    data = saved(noise(mode), kind, **options)
    found = decode(data, "a", side=4)
    factor = HEIGHT // (GAP * 4)
    assert factor == 5
    assert np.array_equal(np.asarray(found), np.asarray(in_one_piece(data).reduce(factor)))


@pytest.mark.usefixtures("everything_is_large")
def test_a_photo_is_not_reduced_below_three_times_the_side() -> None:
    for side in (1, 4, 6, 7, 19, 20, 21, 100):
        for kind in ("PNG", "JPEG"):
            found = decode(saved(noise("RGB"), kind, orientation=6), "a", side=side)
            assert min(found.size) >= min(HEIGHT, GAP * side)
            assert found.height > found.width  # it was turned


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_differs_little_after_draft_mode(orientation: int) -> None:
    y, x = np.mgrid[0:1500, 0:2000]
    bands = [np.sin(x / 90 + y / 230), np.cos(x / 300 - y / 80), np.sign(np.cos((x + y) / 150))]
    grain = np.random.default_rng(0).normal(0, 6, (1500, 2000, 3))
    photo = Image.fromarray((127 + 90 * np.stack(bands, -1) + grain).clip(0, 255).astype(np.uint8))
    data = saved(photo, "JPEG", orientation, quality=90)
    small = squeeze(decode(data, "a", side=48), 48).int()
    whole = squeeze(in_one_piece(data), 48).int()
    apart = (small - whole).abs()
    assert apart.max() <= 16  # of 255, at the edges of the stripes; docs/photos.md says so
    assert apart.float().mean() <= 1.1


def test_a_photo_over_the_limit_is_refused_with_the_option_that_raises_it() -> None:
    data = saved(Image.new("1", (1500, 1000)), "PNG")
    with pytest.raises(LargeImageError) as caught:
        decode(data, "wide.png", max_megapixels=1)
    assert str(caught.value) == (
        "photo 'wide.png' has 1500 x 1000 px, more than the 1 megapixels that are read; raise the "
        "limit with max_megapixels=2, or make it smaller"
    )
    assert decode(data, "wide.png", max_megapixels=2).size == (1500, 1000)


def test_the_limit_must_let_something_through(tmp_path: Path) -> None:
    for open_it in (lambda: open_images(tmp_path, max_megapixels=0),
                    lambda: open_unsorted(["x"], max_megapixels=0)):  # fmt: skip
        with pytest.raises(InputError, match="max_megapixels: expected at least 1, got 0"):
            open_it()


def test_the_limit_of_pillow_does_not_count_and_is_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for kind in ("PNG", "JPEG"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert decode(saved(Image.new("RGB", (50, 40)), kind), "a").size == (50, 40)
        assert Image.MAX_IMAGE_PIXELS == 100
    with pytest.raises(CorruptImageError):
        decode(b"no photo", "a")
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.usefixtures("everything_is_large")
def test_pillow_does_not_warn_of_a_large_tiff_while_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = saved(noise("RGB"), "TIFF")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(data, "a").size == (WIDTH, HEIGHT)


def test_a_photo_that_does_not_fit_into_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(self: Image.Image) -> None:
        raise MemoryError

    data = saved(noise("RGB"), "BMP")
    monkeypatch.setattr("PIL.BmpImagePlugin.BmpImageFile.load", no_memory)
    with pytest.raises(LargeImageError, match="photo 'a/b' needs more memory than there is; make"):
        decode(data, "a/b")


def test_a_large_photo_is_left_out_but_never_called_corrupt(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("RGB", (20, 20), (number, 9, 9)).save(tmp_path / name / f"{number}.png")
    Image.new("1", (1500, 1000)).save(tmp_path / "a" / "2.png")
    assert len(open_images(tmp_path)) == 5
    with pytest.raises(InputError, match=r"1 of 5 photos cannot be used: photo 'a/2.png' has 1500"):
        open_images(tmp_path, max_megapixels=1)
    told: list[str] = []
    images = open_images(
        tmp_path, max_megapixels=1, skip_corrupt=True, left_out=lambda key, why: told.append(why)
    )
    assert images.skipped == ("a/2.png",)
    assert "max_megapixels=2" in told[0]
    assert "corrupt" not in told[0]


def test_what_was_verified_with_another_limit_is_verified_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("1", (1500, 1000)).save(tmp_path / name / "0.png")
    open_images(tmp_path, max_megapixels=2)
    with pytest.raises(InputError, match="2 of 2 photos cannot be used"):
        open_images(tmp_path, max_megapixels=1)
    assert len(open_images(tmp_path, max_megapixels=2)) == 2


@pytest.mark.usefixtures("everything_is_large")
def test_subsets_and_joined_sets_read_reduced_photos_too(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            noise("RGB").save(tmp_path / name / f"{number}.png")
    images = open_images(tmp_path)
    assert images.read(3).size == (WIDTH, HEIGHT)
    assert images.read_for(3, 4).size == (17, 12)
    assert images.subset([2, 3]).read_for(1, 4).size == (17, 12)
    assert join_images([("x", images), ("y", images)]).read_for(7, 4).size == (17, 12)


def test_a_reader_of_ones_own_reads_in_full() -> None:
    images = ImageSet(
        name="own",
        classes=(),
        keys=("a",),
        targets=(-1,),
        given_split=(None,),
        given_group=(None,),
        read=lambda _: noise("RGB"),
    )
    assert images.read_for(0, 1).size == (WIDTH, HEIGHT)
    assert images.subset([0]).read_for(0, 1).size == (WIDTH, HEIGHT)


@pytest.mark.usefixtures("everything_is_large")
def test_large_photos_are_compared_in_every_pixel(tmp_path: Path) -> None:
    photo = noise("RGB")
    (tmp_path / "a").mkdir()
    for number in range(3):
        if number == 2:
            photo.putpixel((1, 1), (1, 2, 3))
        photo.save(tmp_path / "a" / f"{number}.png")
    prints = take_fingerprints(open_images(tmp_path, need_labels=False))
    assert prints.pixels[0] == prints.pixels[1] != prints.pixels[2]
    assert prints.size.tolist() == [[WIDTH, HEIGHT]] * 3


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_verifying_a_large_photo_finds_what_is_cut_off(tmp_path: Path, kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    data = saved(Image.fromarray(pixels), kind)
    (tmp_path / f"whole.{kind.lower()}").write_bytes(data)
    (tmp_path / f"cut.{kind.lower()}").write_bytes(data[: len(data) * 2 // 3])
    images = open_unsorted([str(tmp_path)])
    assert [Path(images.keys[i]).stem for i in verify(images).corrupt] == ["cut"]


def test_large_photos_of_several_threads_wait_for_room() -> None:
    size, most, now = ROOM // 2 + 1, [0], [0]
    lock = threading.Lock()

    def read(keep: bool) -> None:
        def inside() -> None:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.01)
            with lock:
                now[0] -= 1

        if keep:
            with kept_room():
                with room_for(size):
                    pass
                inside()
        else:
            with room_for(size):
                inside()

    threads = [threading.Thread(target=read, args=(n % 2 == 0,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive()
    assert most == [1]


def test_small_enough_photos_share_the_room_and_one_thread_never_waits_for_itself() -> None:
    with kept_room():
        for _ in range(3):
            with room_for(ROOM):
                pass
        done = threading.Event()

        def other() -> None:
            with room_for(1):
                done.set()

        thread = threading.Thread(target=other)
        thread.start()
        assert not done.wait(0.05)
    assert done.wait(5)
    thread.join()


def peak() -> int:
    """Return the largest memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10


def read_one_after_another(files: list[Path], said: multiprocessing.SimpleQueue[int]) -> None:
    before, filling = peak(), []
    while peak() == before:  # up to here memory was taken before, and given back
        filling.append(bytearray(b"x" * 2**20))
    before = peak()
    for file in files:
        decode(file, file.name, side=64)
        said.put(peak() - before)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_memory_of_a_large_photo(tmp_path: Path) -> None:
    side = 5800
    assert side**2 > ORDINARY
    # MiB at most; in full they are 128, 32 and 128 as RGB, and 64 and 3 times 256 in float64
    cases = {"a.jpg": ("RGB", 30), "b.png": ("P", 90), "c.png": ("I;16", 140)}
    for name, (mode, _) in cases.items():
        level = {"compress_level": 1} if name.endswith("png") else {}
        Image.new(mode, (side, side)).save(tmp_path / name, **level)
    forked = multiprocessing.get_context("fork")
    said = forked.SimpleQueue()
    files = [tmp_path / name for name in cases]
    child = forked.Process(target=read_one_after_another, args=(files, said))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    taken = {name: said.get() for name in cases}
    assert all(taken[name] < most for name, (_, most) in cases.items()), taken
    assert taken["c.png"] >= side**2 * 2 // 2**20 - 10  # what is decoded is seen


@pytest.mark.parametrize(
    "command",
    [
        *("train", "pretrain", "evaluate", "poc", "predict", "preview", "explain", "check"),
        *("check-policy", "ui", "mixer train", "mixer inspect"),
    ],
)
def test_every_command_that_reads_photos_has_the_limit(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    assert "--max-megapixels" in capsys.readouterr().out


def test_a_run_reads_with_its_own_limit(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("1", (1500, 1000)).save(tmp_path / name / "0.png")
    assert len(open_sources(TrainConfig(data=str(tmp_path)))[0][1]) == 2
    with pytest.raises(InputError, match="max_megapixels=2"):
        open_sources(TrainConfig(data=str(tmp_path), max_megapixels=1))


def test_photos_in_memory_take_what_was_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    images = open_images("demo:photos_per_class=4,size=16")
    known: dict[int, Tensor] = {}
    monkeypatch.setattr("samix.data.store.kept_photos", lambda images, size: known)
    store = PhotoStore(images, range(5), 16)
    need = store.need
    store.keep()
    assert store.kept is not None
    assert store.kept.untyped_storage().nbytes() == need
    memory = {photo.untyped_storage().data_ptr() for photo in known.values()}
    assert memory == {store.kept.untyped_storage().data_ptr()}  # no copy beside it
    assert sorted(known) == [0, 1, 2, 3, 4]
