from __future__ import annotations

import io
import mimetypes
import os
import random
import socket
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from samix.cli import main, ui
from samix.data import open_images
from samix.errors import InputError
from samix.mixing import draw_lam
from samix.mixing.draws import given_lam
from samix.preview.live_mix import (
    Offer,
    Pair,
    cards,
    class_of,
    lies_inside,
    message,
    mix_pair,
    offer,
    open_shown,
    policies_for_pairs,
)
from samix.preview.uploads import TooMuchError, UploadLimits, Uploads

from .test_train import complaint, photos, somewhere_else  # noqa: F401

BLACK_AND_WHITE = (Image.new("RGB", (40, 20), "black"), Image.new("RGB", (16, 16), "white"))


def noise(seed: int) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_every_policy_that_needs_no_network_in_training_is_offered():
    names = policies_for_pairs()
    assert {"mixup", "cutmix", "fmix", "guidedmixup", "samix-p"} <= set(names)
    assert not {"none", "samix", "manifold-mixup"} & set(names)
    seen = mix_pair(Pair(noise(0), noise(1), ("crack", "good")), open_shown(names))
    assert [one.name for one in seen] == list(names)
    for one in seen:
        original, partner, mask, mix = one.row.pictures
        assert sum(share for _, share in one.row.label) == pytest.approx(1.0, abs=1e-5)
        assert mask.shape[0] == 1
        assert original.shape == partner.shape == mix.shape
        assert one.accepted is not None
        assert any("visibility" in line for line in one.rules)


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
    assert "the slider does not move it" in cards(mix_pair(pair, open_shown(names)))


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
    assert (one.accepted, one.rules) == (None, ())


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
    text = cards(mix_pair(Pair(*BLACK_AND_WHITE, classes=(bad, "a & b")), open_shown(["cutmix"])))
    assert bad not in text
    assert "&lt;script&gt;" in text
    assert "a &amp; b" in text
    assert "http" not in text.replace("data:image/png;base64,", "")
    assert message(bad) == "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"


def test_photos_to_choose_from():
    images = SimpleNamespace(
        targets=(0,) * 100 + (1,) * 3 + (-1,), classes=("good", "crack"), name="photos",
        keys=tuple(f"{i}.png" for i in range(104)),
    )  # fmt: skip
    some, outside = offer(images, None, most=10)
    assert outside == 0
    assert len(some.positions) == 10
    assert list(some.positions) == sorted(some.positions)
    assert {100, 101, 102, 103} <= set(some.positions)
    assert offer(images, None)[0].positions == tuple(range(104))
    assert [class_of(images, i) for i in (0, 100, 103)] == ["good", "crack", ""]
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
    keys = [key for key, _ in found.choices()]
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


@pytest.fixture
def uploads() -> Uploads:
    Path("uploads").mkdir()
    return Uploads(
        Path("uploads"), UploadLimits(photo_bytes=2000, pixels=500, kept=3, kept_bytes=5000)
    )


def png(image: Image.Image) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer


def test_a_photo_that_was_dropped_in(uploads):
    small = Image.fromarray(np.full((4, 4), 65535, np.uint16))
    there = uploads.add(png(small))
    assert there.is_relative_to(uploads.folder)
    assert uploads.read(str(there), "original").getpixel((0, 0)) == (255, 255, 255)
    with pytest.raises(TooMuchError, match="more than 0 MiB"):
        uploads.add(png(noise(0).resize((400, 400))))
    with pytest.raises(TooMuchError, match="more than 0 million pixels"):
        uploads.add(png(Image.new("L", (40, 40))))
    for no_photo in (b"", b"no photo", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe"):
        with pytest.raises(InputError, match="the file is no photo"):
            uploads.add(io.BytesIO(no_photo))
    there.write_bytes(png(noise(0).resize((20, 20))).getvalue()[:500])
    with pytest.raises(InputError, match="photo 'original' cannot be read") as told:
        uploads.read(str(there), "original")
    assert "choose another photo" in str(told.value)
    assert str(there) not in str(told.value)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"])
def test_every_kind_of_photo_may_be_dropped_in(uploads, kind):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "orange").save(buffer, kind)
    there = uploads.add(buffer)
    assert uploads.read(str(there), "original").size == (16, 16)
    assert mimetypes.guess_type(there)[0].startswith("image/")  # a browser shows it


def test_a_photo_of_two_pictures_as_cameras_make_them_may_be_dropped_in(uploads):
    buffer = io.BytesIO()
    first, second = (Image.new("RGB", (16, 16), name) for name in ("orange", "grey"))
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    assert uploads.add(buffer).suffix == ".jpeg"


def test_the_oldest_photos_are_removed(uploads):
    names = []
    for index in range(5):
        names.append(uploads.add(png(Image.new("L", (8, 8), index))))
        os.utime(names[-1], (index, index))
    uploads.tidy()
    assert [name.exists() for name in names] == [False, False, True, True, True]
    assert [name.parent.exists() for name in names] == [False, False, True, True, True]
    names[4].write_bytes(bytes(4990))
    uploads.tidy()
    assert [name.exists() for name in names[2:]] == [False, False, True]


def test_only_files_below_a_folder_are_found(uploads):
    there = uploads.add(png(Image.new("L", (8, 8))))
    secret = outside("secret.png")
    link = uploads.folder / "link.png"
    link.symlink_to(secret)
    (uploads.folder / "circle").symlink_to(uploads.folder / "circle")
    assert uploads.find(str(there)) == there
    no_files = ("", "\0", f"{there}\0", str(uploads.folder), str(there.parent), f"{there}.png")
    links = (str(link), f"{uploads.folder}/circle")
    out = (str(secret), f"{uploads.folder}/../elsewhere/secret.png", f"{uploads.folder}2/x.png")
    for path in (*no_files, *links, *out, "elsewhere/secret.png", f"file://{there}"):
        with pytest.raises(InputError, match="not among those that were dropped in"):
            uploads.find(path)
        with pytest.raises(InputError, match="drop it in again"):
            uploads.read(path, "original")


@pytest.fixture
def extra(monkeypatch):
    """As if the extra were there; nothing is served."""
    monkeypatch.setattr(ui, "_is_there", lambda name: True)


def test_a_missing_extra_is_named(monkeypatch, capsys):
    monkeypatch.setattr(ui, "_is_there", lambda name: name != "gradio")
    said = complaint(["ui", "--data", "nowhere"], capsys)
    assert "'gradio'" in said
    assert "pip install 'samix[ui]'" in said


def test_bad_options_are_refused_in_one_sentence(extra, capsys):
    def said(*words: str) -> str:
        return complaint(["ui", *words], capsys)

    assert "--port must be 1 to 65535, got 0" in said("--port", "0")
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
    assert "'photos' is no folder of samix poc" in said("--poc", "photos")
    Path("poc").mkdir()
    Path("poc/poc.yaml").write_text("version: 1")
    assert "has no report.html" in (text := said("--poc", "poc"))
    assert "samix poc --resume --output poc" in text
    Path("elsewhere.html").write_text("a report")
    Path("poc/report.html").symlink_to(Path("elsewhere.html").resolve())
    assert "a link that leads out of the folder" in said("--poc", "poc")
    Path("only").mkdir()
    Path("only/out.png").symlink_to(outside("secret.png"))
    assert "all 1 photos of 'only' are links" in said("--data", "only")
    assert "--data" in said("--dta", "x")


def test_help_says_that_nothing_leaves_the_machine(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["ui", "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for word in ("127.0.0.1", "no upload", "--poc", "--data", "Ctrl-C"):
        assert word in text


def test_a_page_is_made_of_what_is_there():
    from samix.preview import live_page
    from samix.preview.live_page import Context, build_page, see

    Path("uploads").mkdir()
    uploads = Uploads(Path("uploads"))
    images = open_images("demo:photos_per_class=2,size=16")
    context = Context(("mixup", "cutmix"), uploads, offer(images, None)[0])
    both = tuple(str(uploads.add(png(noise(seed)))) for seed in range(2))

    def seen(files=both, classes=("", ""), lam=0.5, seed=0, names=("mixup",)) -> str:
        return see(context, files, classes, lam, seed, names)

    assert "Drop in two photos" in seen((None, both[1]))
    assert "at least one policy" in seen(names=[])
    text = seen(classes=("crack", ""), lam=0.25, seed=None, names=["mixup", "cutmix", "mixup"])
    assert text.count("<article>") == 2
    assert "75 % partner, 25 % crack" in text
    assert "policy 'fmix' is not offered" in unescape(seen(names=["mixup", "fmix"]))
    assert "not among those that were dropped in" in seen((both[0], str(outside("secret.png"))))
    Path(both[0]).write_bytes(b"")
    assert "the file is no photo" in seen()
    config = build_page(context)
    labels = [part["props"].get("label") for part in config.get_config_file()["components"]]
    assert {"original from demo", "policies", "partner"} <= set(labels)
    # gradio writes a stub beside the module of each component that is derived from its own
    assert not Path(live_page.__file__).with_suffix(".pyi").exists()
