#!/usr/bin/env bash
# torch 2.15.0, torch.utils.flop_counter.FlopCounterMode: the backward pass of a convolution in groups is counted as
# (1 + groups) times its forward pass, where both gradients together cost twice the forward pass whatever the groups: the
# gradient of the weight is counted as that of a convolution without groups. A network of depthwise convolutions (as
# EfficientNet, MobileNet, ConvNeXt) so seems to cost many times more to train than it does. Seen: backward over forward
# 2, 3, 9, 65 for 1, 2, 8, 64 groups of 64 channels, and 40.5 for timm 1.0.31's tf_efficientnet_lite0 at 128 px. The
# forward counts are right. Fails where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check torch==2.15.0 torchvision==0.29.2 timm==1.0.31
cat > "$folder/show.py" <<'PY'
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

print("torch", torch.__version__.partition("+")[0], "timm", timm.__version__)


def counted(network, size, channels):
    """Return what is counted for a forward pass, and backward over forward."""
    images = torch.randn(2, channels, size, size, requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        given = network(images)
    with FlopCounterMode(display=False) as backward:
        given.sum().backward()
    return forward.get_total_flops(), backward.get_total_flops() / forward.get_total_flops()


for groups in (1, 2, 8, 64):
    count, ratio = counted(torch.nn.Conv2d(64, 64, 3, padding=1, groups=groups), 16, 64)
    right = 2 * 2 * 16 * 16 * 64 * (64 // groups) * 9
    print(f"groups {groups}: forward right {count == right}, backward {ratio:g} times forward")
network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
print(f"tf_efficientnet_lite0: backward {counted(network, 128, 3)[1]:.1f} times forward")
PY
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
for line in "groups 1: forward right True, backward 2" "groups 2: forward right True, backward 3" \
  "groups 8: forward right True, backward 9" "groups 64: forward right True, backward 65" \
  "tf_efficientnet_lite0: backward 40.5"; do
  grep -q "^$line times forward$" "$folder/seen"
done
