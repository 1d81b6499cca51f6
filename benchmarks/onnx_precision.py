"""How far masks of a pre-trained Mixer are from float64, in torch and in ONNX Runtime.

python benchmarks/onnx_precision.py [FOLDER]
"""

from __future__ import annotations

import copy
import sys
import tempfile
from pathlib import Path

import onnxruntime
import torch
import torch.nn.functional as F

from samix.networks import DEFAULT_MIXER, onnx_export, open_mixer, standardised
from samix.networks.backbone import tap_features
from samix.networks.pretrained_mixer import PretrainedMixer

SHAPES = ((3, 224, 224), (8, 64, 64), (5, 48, 20))


def main() -> None:
    torch.set_num_threads(1)
    mixer = open_mixer(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_MIXER)
    session = session_of(mixer)
    print("shape           features   torch      ONNX       torch from exact features")
    for batch, height, width in SHAPES:
        generator = torch.Generator().manual_seed(batch)
        small = torch.rand(2 * batch, 3, 6, 6, generator=generator)
        both = F.interpolate(small, (height, width), mode="bicubic")
        images, partner = standardised(both).chunk(2)
        lam = torch.rand(batch, generator=generator)
        given = {"images": images.numpy(), "partner": partner.numpy(), "lam": lam.numpy()}
        (found,) = session.run(["mask"], given)
        exact, at, of_partner = masks(mixer, images, partner, lam, torch.float64)
        single, near, _ = masks(mixer, images, partner, lam, torch.float32)
        with torch.no_grad():
            half = mixer.mixer(at.float(), of_partner.float(), lam, (height, width))
        distances = (near - at, single - exact, torch.from_numpy(found) - exact, half - exact)
        numbers = "   ".join(f"{float(d.abs().max()):.1e}" for d in distances)
        print(f"{f'{batch}x{height}x{width}':<14}  {numbers}")


def masks(
    mixer: PretrainedMixer,
    images: torch.Tensor,
    partner: torch.Tensor,
    lam: torch.Tensor,
    dtype: torch.dtype,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Masks and features in a precision; the module itself never changes its own."""
    encoder = copy.deepcopy(mixer.encoder).to(dtype)
    network = copy.deepcopy(mixer.mixer).to(dtype)
    size = (mixer.resolution, mixer.resolution)

    def look(photos: torch.Tensor) -> torch.Tensor:
        small = F.interpolate(photos.to(dtype), size, mode="bilinear", antialias=True)
        return tap_features(encoder, standardised(small), mixer.tap)

    with torch.no_grad():
        one, other = look(images), look(partner)
        return network(one, other, lam.to(dtype), tuple(images.shape[2:])), one, other


def session_of(mixer: PretrainedMixer) -> onnxruntime.InferenceSession:
    """The file as it is handed out, but for the check of how near it is."""
    onnx_export.AGREEMENT = 1.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx_export.write_onnx(mixer, path)
        return onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
