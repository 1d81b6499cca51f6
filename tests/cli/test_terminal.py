"""Where a command meets its surroundings: full disks, terminals of few letters, closed pipes."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from samix.cli import main
from samix.files import no_room
from samix.training import fit
from tests.forked import Command

TINY = "demo:photos_per_class=8,size=16"


def odd_folder(path: bytes) -> None:
    """Write photos in folders and under names that are no UTF-8, as an archive in Shift-JIS has."""
    for number, word in enumerate(("\u826f\u54c1", "\u30ad\u30ba")):
        folder = path + b"/" + word.encode("shift_jis")
        os.makedirs(folder)
        for photo in range(12):
            name = os.fsdecode(folder + b"/" + f"\u8868{photo}.png".encode("shift_jis"))
            image = Image.effect_noise((16, 16), 60).point(lambda v, n=number: v // 2 + 100 * n)
            image.convert("RGB").save(name)


def samix(*words: str, **options) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "samix", *words], check=False, env=environment, **options
    )


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "a/b.png"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("[enforce fail at inline_container.cc:664] . PytorchStreamWriter failed"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_sentence(error, monkeypatch, capsys):
    def full(_):
        try:
            raise error
        except Exception as cause:
            raise ValueError("of a library") from cause

    monkeypatch.setattr("samix.cli.policies.run_policies", full)
    assert main(["policies"]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "nothing more can be written" in text
    assert ("a/b.png" in text) is (getattr(error, "filename", None) is not None)
    assert "make room" in text


def test_other_errors_stay_what_they_are(monkeypatch):
    assert no_room(OSError(errno.ENOENT, "No such file", "a")) is None
    assert no_room(ValueError("a")) is None

    def broken(_):
        raise KeyError("a fault of ours")

    monkeypatch.setattr("samix.cli.policies.run_policies", broken)
    with pytest.raises(KeyError):
        main(["policies"])


def limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("kilobytes", [1, 40])
def test_a_run_on_a_disk_that_fills_up(kilobytes, tmp_path):
    """No file may be longer than this: a disk that is full in the middle of a run."""

    words = ["train", TINY, "--epochs", "1", "--image-size", "16", "--stem", "small"]
    words += ["--backbone", "resnet18", "--model-kwargs", "layers=[1,1,1,1]", "channels=[8,8,8,8]"]
    words += ["--output", str(tmp_path / "run"), "--policy", "none"]
    done = Command(*words, before=partial(limit, kilobytes << 10))
    _, complaint = done.communicate()
    assert done.returncode == 2, complaint
    assert "Traceback" not in complaint
    assert "written" in complaint


def in_ascii() -> None:
    """Open the outputs as Python does where PYTHONIOENCODING is ascii."""
    sys.stdout.reconfigure(encoding="ascii", errors="strict")
    sys.stderr.reconfigure(encoding="ascii", errors="backslashreplace")


def every(lines: Sequence[str]) -> int:
    return max(main(line.split()) for line in lines)


@pytest.mark.parametrize("process", ["forked", "new"])
def test_a_terminal_that_knows_ascii_alone(process, tmp_path):
    """The outputs alone, and all of a process in the language C."""
    folder = tmp_path / "photos"
    odd_folder(os.fsencode(folder))
    lines = [
        "policies", "policies samix", f"check {folder} --output {tmp_path / 'check'}",
        f"preview {folder} --pairs 2 --policy mixup --output {tmp_path / 'look'}",
        f"check-policy mixup {folder}",
    ]  # fmt: skip
    if process == "forked":
        done = Command(*lines, main=every, before=in_ascii)
        said, complaint = done.communicate()
    else:
        code = (
            "from samix.cli import main\n"
            f"raise SystemExit(max(main(line.split()) for line in {lines!r}))"
        )
        language = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=False,
            env={**os.environ, **language}, text=True, errors="surrogateescape",
        )  # fmt: skip
        said, complaint = done.stdout, done.stderr
    assert "Traceback" not in complaint, complaint
    assert done.returncode in (0, 1)
    assert said.isascii()
    assert "All 12 checks passed." in said


@pytest.mark.parametrize("words", [["policies"], ["--help"], ["check", TINY]])
def test_nobody_reads_to_the_end(words, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    done = samix(*words, stdout=writing, stderr=subprocess.PIPE, cwd=tmp_path)
    os.close(writing)
    assert done.returncode == 141 or words == ["--help"]  # where argparse tells nobody
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.slow
def test_names_that_are_no_utf_8(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    odd_folder(os.fsencode(tmp_path / "photos"))
    tiny = [
        "--epochs", "1", "--image-size", "16", "--stem", "small", "--backbone", "resnet18",
        "--model-kwargs", "layers=[1,1,1,1]", "channels=[8,8,8,8]", "--batch-size", "8",
    ]  # fmt: skip
    assert main(["train", "photos", *tiny, "--policy", "mixup", "--output", "run"]) == 0
    assert main(["predict", "run", "photos", "--output", "said.csv"]) == 0
    rows = Path("said.csv").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    assert len(rows) == 25
    assert main(["check", "photos", "--output", "checked"]) in (0, 1)
    assert main(["preview", "photos", "--policy", "mixup", "--pairs", "2", "--output", "look"]) == 0
    assert main(["explain", "run", "--pairs", "2", "--photos", "1", "--output", "seen"]) == 0
    for page in ("checked/check.html", "look/preview.html", "seen/explain.html"):
        assert Path(page).read_text(encoding="utf-8")
    assert "Traceback" not in capsys.readouterr().err


def test_a_thread_that_finds_the_disk_full_prints_nothing(capsys):
    """TensorBoard writes in a thread of its own; the run itself says that there is no room."""

    def ends_with(error):
        def work():
            raise error

        with fit._quiet():
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        return capsys.readouterr().err

    assert ends_with(OSError(errno.ENOSPC, "No space left on device", "events")) == ""
    assert "ValueError: another" in ends_with(ValueError("another"))
    assert threading.excepthook is not fit._of_a_thread
