"""The exported Mixer in ONNX Runtime, for the very files that are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from samix.networks import DEFAULT_MIXER, open_mixer, standardised
from samix.networks.onnx_export import AGREEMENT, OnnxMismatchError, onnx_distance, write_onnx

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    assert write_onnx(open_mixer(DEFAULT_MIXER), path) <= AGREEMENT
    assert [other.name for other in path.parent.iterdir()] == ["model.onnx"]
    return path


@pytest.mark.parametrize("shape", [(1, 32, 32), (5, 48, 20), (3, 224, 224), (2, 17, 96)], ids=str)
def test_it_agrees_with_torch_for_any_batch_and_size(file: Path, shape: tuple[int, ...]) -> None:
    batch, height, width = shape
    generator = torch.Generator().manual_seed(batch)
    small = torch.rand(2 * batch, 3, 6, 6, generator=generator)
    both = torch.nn.functional.interpolate(small, (height, width), mode="bicubic")
    images, partner = standardised(both).chunk(2)
    lam = torch.rand(batch, generator=generator)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(
        ["mask"], {"images": images.numpy(), "partner": partner.numpy(), "lam": lam.numpy()}
    )
    wanted = open_mixer(DEFAULT_MIXER)(images, partner, lam)
    assert found.shape == (batch, 1, height, width)
    assert (torch.from_numpy(found) - wanted).abs().max() <= 1e-4


def test_a_file_that_computes_something_else_is_not_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Program:
        def save(self, path: Path) -> None:
            path.write_bytes(b"another network")

    monkeypatch.setattr("torch.onnx.export", lambda *given, **options: Program())
    monkeypatch.setattr("samix.networks.onnx_export.onnx_distance", lambda *given: 0.2)
    with pytest.raises(OnnxMismatchError, match=r"differ by 0\.2"):
        write_onnx(open_mixer(DEFAULT_MIXER), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_distance_is_that_of_the_masks(file: Path) -> None:
    assert onnx_distance(open_mixer(DEFAULT_MIXER), file) <= AGREEMENT
    assert onnx_distance(open_mixer("demo"), file) > 0.01
