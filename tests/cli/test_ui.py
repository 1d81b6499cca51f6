from __future__ import annotations

import io
import os
import random
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from samix.cli import main
from samix.data import ImageSet, open_images
from samix.data.views import squeeze
from samix.errors import InputError
from samix.mixing import draw_lam
from samix.mixing.draws import given_lam
from samix.pages.mixes import Remark
from samix.pages.parts import parts_text
from samix.preview.dropped import LARGEST, DropLimits, DroppedPhotos, TooMuchError, inside
from samix.preview.live_mix import (
    Offer,
    Pair,
    lies_inside,
    mix_pair,
    offer,
    open_shown,
    policies_for_pairs,
)
from samix.preview.live_page import find_pages
from samix.preview.page import compared
from tests.preview.test_server import noise, png

from .test_train import complaint, photos, somewhere_else  # noqa: F401

BLACK_AND_WHITE = (Image.new("RGB", (40, 20), "black"), Image.new("RGB", (16, 16), "white"))


def test_every_policy_that_needs_no_network_in_training_is_offered():
    names = policies_for_pairs()
    assert {"mixup", "cutmix", "fmix", "guidedmixup", "samix-p"} <= set(names)
    assert not {"none", "samix", "manifold-mixup"} & set(names)
    seen = mix_pair(Pair(noise(0), noise(1), ("crack", "good")), open_shown(names))
    assert [one.name for one in seen] == list(names)
    for one in seen:
        original, partner, mask, mix = one.row.pictures
        assert one.row.verdict.badge.en in ("guard: accepted", "guard: rejected")
        assert sum(share for _, share in one.row.label) == pytest.approx(1.0, abs=1e-5)
        assert mask.shape[0] == 1
        assert original.shape == partner.shape == mix.shape
        assert any("visible content" in line.en for line in one.row.verdict.lines)


@pytest.mark.parametrize("lam", [0.0, 0.2, 0.7, 1.0])
def test_the_slider_is_lam(lam):
    """Black is mixed with white: a pixel is white as far as the mask shows the partner."""
    names = ("mixup", "cutmix", "maskmix", "samix-p")
    seen = mix_pair(Pair(*BLACK_AND_WHITE, lam=lam), open_shown(names))
    for one in seen:
        row = one.row
        assert one.moved
        assert row.lam == pytest.approx(lam)
        assert torch.allclose(row.pictures[3], 1 - row.pictures[2].expand(3, -1, -1), atol=1e-5)
        assert row.area == pytest.approx(float(row.pictures[2].mean()), abs=0.02)
        shares = dict(row.label)
        assert shares.get("original", 0.0) == pytest.approx(row.weight)
    assert seen[0].row.area == pytest.approx(lam)


def test_policies_that_find_lam_themselves_say_so():
    names = ("resizemix", "smoothmix", "guidedmixup")
    for lam in (0.1, 0.9):
        pair = Pair(noise(0), noise(1), lam=lam)
        assert not any(one.moved for one in mix_pair(pair, open_shown(names)))
        for one in mix_pair(pair, open_shown(names)):
            assert "the slider does not move it" in one.row.verdict.lines[0].en


def test_what_is_drawn_beside_lam_follows_the_seed_alone():
    shown = open_shown(["cutmix"])

    def mask(**options) -> torch.Tensor:
        (one,) = mix_pair(Pair(*BLACK_AND_WHITE, **options), shown)
        return one.row.pictures[2]

    assert torch.equal(mask(seed=3), mask(seed=3))
    assert not torch.equal(mask(seed=3), mask(seed=4))
    small, large = mask(lam=0.8, seed=3) < 0.5, mask(lam=0.6, seed=3) < 0.5
    assert bool((large | ~small).all())  # the box grows around the same place
    assert int(large.sum()) > int(small.sum())


def test_a_label_of_one_class_and_photos_of_one_size():
    seen = mix_pair(Pair(*BLACK_AND_WHITE, classes=("crack ", "crack")), open_shown(["mixup"]))
    assert seen[0].row.label == (("crack", 1.0),)
    big = Image.new("RGB", (3000, 500), "grey")
    (one,) = mix_pair(Pair(big, BLACK_AND_WHITE[0]), open_shown(["cutmix"]), guarded=False)
    assert one.row.pictures[3].shape == (3, 224, 224)
    assert one.row.verdict == Remark()


def test_a_given_lam_moves_the_generator_on_and_ends_with_its_context():
    first, second = (torch.Generator().manual_seed(0) for _ in range(2))
    with given_lam(0.3):
        assert draw_lam(4, 1.0, generator=first).tolist() == pytest.approx([0.3] * 4)
    drawn = draw_lam(4, 1.0, generator=second)
    assert len(set(drawn.tolist())) == 4
    assert torch.equal(first.get_state(), second.get_state())
    with (
        pytest.raises(ValueError, match=r"lam: expected a number in \[0, 1\], got 2"),
        given_lam(2),
    ):
        pass


def test_bad_numbers_and_policies_are_refused():
    with pytest.raises(InputError, match=r"lam must be in \[0, 1\], got 1.5"):
        mix_pair(Pair(*BLACK_AND_WHITE, lam=1.5), open_shown(["mixup"]))
    with pytest.raises(InputError, match="seed must be at least 0"):
        mix_pair(Pair(*BLACK_AND_WHITE, seed=-1), open_shown(["mixup"]))
    with pytest.raises(InputError, match="nearest is 'cutmix'"):
        open_shown(["cutmics"])


def test_words_of_the_user_stay_words():
    bad = "<script>alert(1)</script>"
    seen = mix_pair(Pair(*BLACK_AND_WHITE, classes=(bad, "a & b")), open_shown(["cutmix"]))
    text = parts_text([compared([(one.name, one.row) for one in seen])], "both")
    assert bad not in text
    assert "&lt;script&gt;" in text
    assert "a &amp; b" in text
    assert "http" not in text.replace("data:image/png;base64,", "")


def test_photos_to_choose_from():
    images = ImageSet(
        name="photos", keys=tuple(f"{i}.png" for i in range(104)), classes=("good", "crack"),
        targets=(0,) * 100 + (1,) * 3 + (-1,), read=noise,
        given_split=(None,) * 104, given_group=(None,) * 104,
    )  # fmt: skip
    some, outside = offer(images, None, most=10)
    assert outside == 0
    assert len(some.positions) == 10
    assert list(some.positions) == sorted(some.positions)
    assert {100, 101, 102, 103} <= set(some.positions)
    assert offer(images, None)[0].positions == tuple(range(104))
    assert [images.class_of(i) for i in (0, 100, 103)] == ["good", "crack", ""]
    rng = random.Random(0)
    for _ in range(20):
        first, second = some.another_pair(rng)
        assert images.targets[first] != images.targets[second]
    assert Offer(images, (5,)).another_pair(rng) == (5, 5)
    assert set(Offer(images, (5, 6)).another_pair(rng)) == {5, 6}


def outside(name: str) -> Path:
    """A photo beside the folder that the page is about."""
    Path("elsewhere").mkdir(exist_ok=True)
    noise(9).save(f"elsewhere/{name}")
    return Path("elsewhere", name).resolve()


def test_links_that_lead_out_of_the_folder_are_not_offered_and_not_followed_later():
    photos("photos", classes=("crack", "good"), count=2)
    Path("photos/crack/out.png").symlink_to(outside("secret.png"))
    Path("photos/crack/in.png").symlink_to(Path("photos/good/part0_1.png").resolve())
    Path("photos/good/deeper").symlink_to(Path("elsewhere").resolve())
    images = open_images("photos")
    found, left_out = offer(images, Path("photos").resolve())
    keys = [key for _, key, _ in found.choices()]
    assert left_out == 2
    assert len(keys) == 5
    assert "crack/in.png" in keys
    with pytest.raises(InputError, match="is not in the list"):
        found.read(images.keys.index("crack/out.png"))
    photo, name = found.read(images.keys.index("good/part0_0.png"))
    assert (photo.mode, name) == ("RGB", "good")
    Path("photos/good/part0_0.png").unlink()
    Path("photos/good/part0_0.png").symlink_to(outside("secret.png"))
    with pytest.raises(InputError, match=r"'good/part0_0.png' leads out of the folder"):
        found.read(images.keys.index("good/part0_0.png"))
    with pytest.raises(InputError, match="all 1 photos of 'photos' are links"):
        offer(images.subset([images.keys.index("crack/out.png")]), Path("photos").resolve())


def test_tables_of_photos_that_are_links_out_of_the_folder_are_not_offered():
    Path("photos").mkdir()
    Path("photos/a.parquet").touch()
    Path("b.parquet").touch()
    Path("photos/b.parquet").symlink_to(Path("b.parquet").resolve())
    root = Path("photos").resolve()
    assert lies_inside(root, "a.parquet#12")
    assert not lies_inside(root, "b.parquet#12")
    assert not lies_inside(root, "../b.parquet#12")
    assert lies_inside(None, "anything")


def test_a_photo_that_was_dropped_in():
    dropped = DroppedPhotos(DropLimits(photo_bytes=2000, pixels=500, kept=3))
    small = Image.fromarray(np.full((4, 4), 65535, np.uint16))
    name = dropped.add(png(small))
    assert dropped.read(name).getpixel((0, 0)) == (255, 255, 255)
    with pytest.raises(TooMuchError, match="more than 0 MiB"):
        dropped.add(png(noise(0).resize((400, 400))))
    with pytest.raises(TooMuchError, match="more than 0 million pixels"):
        dropped.add(png(Image.new("L", (40, 40))))
    for no_photo in (b"", b"no photo", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe"):
        with pytest.raises(InputError, match="the file is no photo"):
            dropped.add(no_photo)
    with pytest.raises(InputError, match=r"cannot be read .*; choose another photo"):
        dropped.add(png(noise(0).resize((20, 20)))[:500])
    for _ in range(3):
        dropped.add(png(small))
    for forgotten in (name, "", "x" * 32):
        with pytest.raises(InputError, match="not among those that were dropped in"):
            dropped.read(forgotten)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"])
def test_every_kind_of_photo_may_be_dropped_in(kind):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "orange").save(buffer, kind)
    dropped = DroppedPhotos()
    assert dropped.read(dropped.add(buffer.getvalue())).size == (16, 16)


def test_a_large_photo_is_kept_as_it_is_mixed():
    photo = noise(0).resize((500, 300))
    dropped = DroppedPhotos()
    kept = dropped.read(dropped.add(png(photo)))
    assert kept.size == (LARGEST, LARGEST)
    assert torch.equal(squeeze(kept, LARGEST), squeeze(photo, LARGEST))


def test_only_files_below_a_folder_are_found():
    folder = Path("runs").resolve()
    folder.mkdir()
    there = folder / "report.html"
    there.write_text("a report")
    secret = outside("secret.png")
    (folder / "link.html").symlink_to(secret)
    (folder / "circle").symlink_to(folder / "circle")
    assert inside(folder, there) == there
    for path in ("", "\0", f"{there}\0", str(folder), f"{there}.png", f"{folder}/link.html",
                 f"{folder}/circle", str(secret), f"{folder}/../elsewhere/secret.png",
                 f"{folder}2/x.png", "elsewhere/secret.png", f"file://{there}"):  # fmt: skip
        assert inside(folder, path) is None, path


def test_pages_of_runs_and_studies_are_found_the_newest_first():
    for at, name in enumerate(("old/report.html", "poc/report.html", "poc/final/run.html",
                               "poc/other.html", "explain/explain.html")):  # fmt: skip
        file = Path("runs", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("a page")
        os.utime(file, (at, at))
    Path("runs/check.html").symlink_to(outside("secret.png"))
    assert [(page.name, page.what.en) for page in find_pages(Path("runs"))] == [
        ("explain", "what a run has learned"), ("poc/final", "a run of training"),
        ("poc", "report of a study"), ("old", "report of a study"),
    ]  # fmt: skip
    assert [page.name for page in find_pages(Path("runs/old"))] == ["old"]


def test_bad_options_are_refused_in_one_sentence(capsys):
    def said(*words: str) -> str:
        return complaint(["ui", *words], capsys)

    assert "--port: expected 1 to 65535, got 0" in said("--port", "0")
    assert "--port" in said("--port", "many")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"port {port}" in said("--port", port)
    assert "'nowhere'" in said("--data", "nowhere")
    assert "nearest is 'cutmix'" in said("--policy", "cutmics")
    assert "no trained Mixer" in said("--policy", "samix")
    photos("photos", count=2)
    assert "--runs 'nowhere' is no folder" in said("--runs", "nowhere")
    assert "--runs 'photos' has no page in it" in said("--runs", "photos")
    assert "--lang must be one of both, en, ja, got 'fr'" in said("--lang", "fr")
    Path("only").mkdir()
    Path("only/out.png").symlink_to(outside("secret.png"))
    assert "all 1 photos of 'only' are links" in said("--data", "only")
    assert "--data" in said("--dta", "x")


def test_help_says_that_nothing_leaves_the_machine(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["ui", "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for word in ("127.0.0.1", "no upload", "--runs", "--data", "--lang", "Ctrl-C"):
        assert word in text
