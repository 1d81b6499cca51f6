#!/bin/sh
# onnxscript 0.7.2 under torch.onnx.export of torch 2.15.0: two kinds of mean are exported as something else.
#
# scatter_reduce(reduce="mean"), with which features are averaged by region, by superpixel or by merged
# token, is exported as a scatter without a reduction: of all that fall into a region, the last one stays,
# and all others are left out. AvgPool2d(divisor_override=n) is exported as if the divisor had not been given.
# Neither export raises or warns of it, where what is not known, as cumprod(), is refused: that ONNX has no
# such reduction is said by a comment in the source alone. onnxruntime 1.32.0 runs the files, and the values
# have the right shape. Sums by scatter_reduce are right, so that the way around is the sum of the values
# over the sum of ones; for the pooling, AvgPool2d without the divisor, times the window's size over it.
# Seen, 196 tokens of 32 features in four regions: torch's means lie within 0.45 of 0, the exported ones are
# the last token of each region, with values up to 2.69; sums, and sums over counts, agree. A window of 3x3
# ones with the divisor 1: torch 9.0, exported 1.0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 onnx==1.23.2 onnxscript==0.7.2 \
  onnxruntime==1.32.0
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import logging

import onnxruntime
import onnxscript
import torch

logging.disable(logging.WARNING)


class Regions(torch.nn.Module):
    """Bring the tokens of each region together."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, tokens, regions):
        def brought(values, how):
            return torch.zeros(4, 32).scatter_reduce(0, regions, values, how, include_self=False)

        if self.how == "sum over count":
            return brought(tokens, "sum") / brought(torch.ones_like(tokens), "sum")
        return brought(tokens, self.how)


def both(network, *inputs):
    """Return what torch gives and what the exported network gives."""
    torch.onnx.export(network.eval(), inputs, "network.onnx", dynamo=True, verbose=False)
    run = onnxruntime.InferenceSession("network.onnx")
    given = run.run(None, {place.name: one.numpy() for place, one in zip(run.get_inputs(), inputs)})[0]
    return network(*inputs), torch.from_numpy(given)


print("onnxscript", onnxscript.__version__, "torch", torch.__version__.partition("+")[0])
torch.manual_seed(0)
tokens = torch.randn(196, 32)
regions = torch.arange(4).repeat(49).unsqueeze(1).expand(196, 32).contiguous()
agrees = {}
for how in ("mean", "sum", "sum over count"):
    right, given = both(Regions(how), tokens, regions)
    agrees[how] = torch.allclose(right, given, atol=1e-4)
    largest, exported = right.abs().max(), given.abs().max()
    line = f"{how} by region: agrees {agrees[how]}, largest value {largest:.2f}, exported {exported:.2f}"
    if how == "mean":
        agrees["the last token"] = torch.equal(given, tokens[-4:])
        line += f", the last token of each region {agrees['the last token']}"
    print(line)
right, given = both(torch.nn.AvgPool2d(3, divisor_override=1), torch.ones(1, 1, 3, 3))
agrees["pooling"] = (right.item(), given.item())
print(f"AvgPool2d(3, divisor_override=1) of ones: {right.item()}, exported {given.item()}")
agreeing = {"the last token": True, "sum": True, "sum over count": True}
if agrees != {"mean": False, "pooling": (9.0, 1.0)} | agreeing:
    raise SystemExit("the behaviour has changed")
PYTHON
