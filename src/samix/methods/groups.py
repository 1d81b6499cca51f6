"""Parameter groups for an optimiser."""

from __future__ import annotations

from typing import Any

from torch import nn


def parameter_groups(
    encoder: nn.Module,
    mixer: nn.Module | None,
    *,
    lr: float,
    weight_decay: float | None = None,
    mixer_lr: float | None = None,
) -> list[dict[str, Any]]:
    """Return the groups of an encoder and a Mixer; groups without parameters are left out.

    Biases and norms (fewer than two dimensions) and the Mixer have no weight decay.

    Args:
        encoder: The trained network.
        mixer: The Mixer or its policy, or None.
        lr: Learning rate of the encoder.
        weight_decay: For weights of two or more dimensions; None leaves it to the optimiser.
        mixer_lr: Learning rate of the Mixer; None takes ``lr``.
    """
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    mixing = (
        [parameter for parameter in mixer.parameters() if parameter.requires_grad]
        if (mixer is not None)
        else []
    )
    groups: list[dict[str, Any]] = [
        {
            "name": "weights",
            "params": [parameter for parameter in trained if parameter.ndim >= 2],
            "lr": lr,
            "weight_decay": weight_decay,
        },
        {
            "name": "biases",
            "params": [parameter for parameter in trained if parameter.ndim < 2],
            "lr": lr,
            "weight_decay": 0.0,
        },
        {
            "name": "mixer",
            "params": mixing,
            "lr": lr if mixer_lr is None else mixer_lr,
            "weight_decay": 0.0,
        },
    ]
    if weight_decay is None:
        del groups[0]["weight_decay"]
    return [group for group in groups if group["params"]]
