"""The built wheel: it contains the built-in Mixers, and runs them with the core alone."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from samix.networks import built_in_mixers

ROOT = Path(__file__).parents[1]
EXTRAS = (
    "lightning", "torchmetrics", "tensorboard", "pandas", "pyarrow", "matplotlib", "rich",
    "lightly", "kornia", "sklearn", "onnx", "onnxruntime", "onnxscript",
)  # fmt: skip
START = f"""
import sys
sys.path[:0] = [sys.argv[1]]
sys.path.append({sysconfig.get_path("purelib")!r})  # torch, torchvision and timm with theirs
for name in {EXTRAS!r}:
    sys.modules[name] = None
import samix
assert samix.__file__.startswith(sys.argv[1]), samix.__file__
"""
MIX = """
import torch
images = torch.rand(5, 3, 48, 40)
for mixer in (None, "demo"):
    plan = samix.create_policy("samix-p", mixer=mixer).plan(images)
    assert plan.mask.shape == (5, 1, 48, 40)
    assert samix.blend(images, plan).isfinite().all()
images, target = samix.mix_collate("samix-p", 3)([(image, 1) for image in images])
assert target.shape == (5, 3)
"""
LIST = """
from samix.cli import main
raise SystemExit(main(["mixer", "list"]))
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder into which the wheel of this tree was unpacked."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed; pip install 'samix[dev]'")
    built = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = built.glob("samix-*.whl")
    folder = tmp_path_factory.mktemp("empty")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(code: str, unpacked: Path) -> str:
    """Run code in a fresh process that sees nothing of this tree and none of the extras."""
    words = [sys.executable, "-I", "-S", "-c", START + code, str(unpacked)]
    environment = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, cwd=unpacked, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", list(built_in_mixers()))
def test_it_contains_the_built_in_mixers(unpacked: Path, name: str) -> None:
    folder = unpacked / "samix" / "mixers" / name
    for file in built_in_mixers()[name].iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()
    assert not list(unpacked.rglob("*.ckpt"))


def test_with_the_core_alone_it_mixes_and_lists_its_mixers(unpacked: Path) -> None:
    said = run(MIX + LIST, unpacked)
    for name in built_in_mixers():
        assert f"\n{name}\n" in said
