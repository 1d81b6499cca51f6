from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch
from PIL import Image

from samix.cli import main, ui
from samix.cli.ui_cards import cards, message
from samix.cli.ui_mix import Pair, mix_pair, open_shown, policies_for_pairs
from samix.cli.ui_photos import another_pair, class_of, offered, read_photo
from samix.data import open_images
from samix.errors import InputError
from samix.mixing import draw_lam
from samix.mixing.draws import given_lam

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
        targets=(0,) * 100 + (1,) * 3 + (-1,), classes=("good", "crack"),
        keys=tuple(f"{i}.png" for i in range(104)),
    )  # fmt: skip
    some = offered(images, most=10)
    assert len(some) == 10
    assert list(some) == sorted(some)
    assert {100, 101, 102, 103} <= set(some)
    assert offered(images) == tuple(range(104))
    assert [class_of(images, i) for i in (0, 100, 103)] == ["good", "crack", ""]
    rng = random.Random(0)
    for _ in range(20):
        first, second = another_pair(images, some, rng)
        assert images.targets[first] != images.targets[second]
    assert another_pair(images, (5,), rng) == (5, 5)
    assert set(another_pair(images, (5, 6), rng)) == {5, 6}


def test_a_photo_that_was_dropped_in():
    Path("broken.png").write_bytes(b"no photo")
    with pytest.raises(InputError, match="photo 'original' cannot be read") as told:
        read_photo("broken.png", "original")
    assert "choose another photo" in str(told.value)
    assert "broken.png" not in str(told.value)
    sixteen = np.full((4, 4), 65535, np.uint16)
    Image.fromarray(sixteen).save("deep.png")
    assert read_photo("deep.png", "original").getpixel((0, 0)) == (255, 255, 255)


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
    assert "--data" in said("--dta", "x")


def test_help_says_that_nothing_leaves_the_machine(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["ui", "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for word in ("127.0.0.1", "no upload", "--poc", "--data", "Ctrl-C"):
        assert word in text


def get(url: str, **headers: str) -> tuple[int, dict[str, str], str]:
    try:
        with urlopen(Request(url, headers=headers), timeout=20) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except HTTPError as error:
        return error.code, dict(error.headers), ""


@pytest.mark.slow
def test_the_page_is_served_here_alone_and_ctrl_c_ends_it():
    """The whole command, with a listener on every connection that it makes."""
    pytest.importorskip("gradio", reason="the extra ui is not installed")
    Path("poc").mkdir()
    Path("poc/poc.yaml").write_text("version: 1")
    Path("poc/report.html").write_text("<!doctype html><title>r</title><p>The report.")
    code = (
        "import sys\n"
        "sys.addaudithook(lambda event, args: event == 'socket.connect' and "
        "print('CONNECTED', args[1], file=sys.stderr, flush=True))\n"
        "from samix.cli import main\n"
        "sys.exit(main(['ui', '--data', 'demo:photos_per_class=2,size=16', '--poc', 'poc']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", line).group()
        status, headers, page = get(url)
        assert status == 200
        assert "default-src 'self'" in headers["content-security-policy"]
        assert not re.search(r"<(?:script|link)[^>]+https?://(?!127)", page)
        assert "fonts.googleapis" not in page
        assert '"analytics_enabled":false' in page.replace(" ", "")
        status, headers, report = get(f"{url}/report")
        assert (status, "The report." in report) == (200, True)
        assert "default-src 'none'" in headers["content-security-policy"]
        assert get(url, Host="elsewhere.example")[0] == 400
        assert get(f"{url}/docs")[0] == 404
        time.sleep(1)
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Ended." in out
    assert "CONNECTED" not in err
    assert "Traceback" not in err


def test_a_page_is_made_of_what_is_there():
    pytest.importorskip("gradio", reason="the extra ui is not installed")
    from samix.cli import ui_page
    from samix.cli.ui_context import Context
    from samix.cli.ui_page import build_page, see

    noise(0).save("a.png")
    noise(1).save("b.png")
    both = ("a.png", "b.png")
    assert "Drop in two photos" in see((None, "b.png"), ("", ""), 0.5, 0, ["mixup"])
    assert "at least one policy" in see(both, ("", ""), 0.5, 0, [])
    text = see(both, ("crack", ""), 0.25, None, ["mixup", "cutmix"])
    assert text.count("<article>") == 2
    assert "75 % partner, 25 % crack" in text
    Path("a.png").write_bytes(b"")
    assert "cannot be read" in see(both, ("", ""), 0.5, 0, ["mixup"])
    config = build_page(Context(("mixup",), open_images("demo:photos_per_class=2,size=16")))
    labels = [part["props"].get("label") for part in config.get_config_file()["components"]]
    assert {"original from demo", "policies", "partner"} <= set(labels)
    # gradio writes a stub beside the module of each component that is derived from its own
    assert not Path(ui_page.__file__).with_suffix(".pyi").exists()
