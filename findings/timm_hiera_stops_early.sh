#!/bin/sh
# timm 1.0.31: forward_intermediates() of Hiera gives the output of an early block as the final one.
#
# forward_intermediates(images, indices) returns a pair: the final features, as forward_features()
# gives them, and the feature maps of the places that were asked for. Its argument stop_early, which
# ends the forward pass at the last place asked for, is False by default in 96 of 98 families of
# timm. In the two of Hiera it is True by default: asked for an earlier place, the "final" features
# are those of that place, with another width and another number of tokens, and forward_head() on
# them fails. Seen: ResNet, ViT and Swin give final features of one shape whatever is asked for;
# Hiera, asked for place 1, gives (1, 784, 192) in place of (1, 49, 768), which it gives with stop_early=False.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.15.0 torchvision==0.29.2 timm==1.0.31
"$folder/env/bin/python" - <<'PYTHON'
import inspect

import timm
import torch

print("timm", timm.__version__, "torch", torch.__version__)
images = torch.zeros(1, 3, 224, 224)
odd = {}
for name in ("resnet18", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "hiera_tiny_224"):
    network = timm.create_model(name).eval()
    default = inspect.signature(network.forward_intermediates).parameters["stop_early"].default
    with torch.no_grad():
        whole = tuple(network.forward_features(images).shape)
        final = tuple(network.forward_intermediates(images, indices=[1])[0].shape)
        asked = tuple(network.forward_intermediates(images, indices=[1], stop_early=False)[0].shape)
    print(f"{name}: stop_early={default}, features {whole}, final {final}, not stopped {asked}")
    odd[name] = (default, final == whole, asked == whole)
hiera = odd.pop("hiera_tiny_224")
if hiera != (True, False, True) or set(odd.values()) != {(False, True, True)}:
    raise SystemExit("the behaviour has changed")
PYTHON
