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
    mixer_weight_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """Return the groups of an encoder and a Mixer; groups without parameters are left out.

    Biases and norms (fewer than two dimensions) have no weight decay.

    Args:
        encoder: The trained network.
        mixer: The Mixer or its policy, or None.
        lr: Learning rate of the encoder.
        weight_decay: For weights of two or more dimensions; None leaves it to the optimiser.
        mixer_lr: Learning rate of the Mixer; None takes ``lr``.
        mixer_weight_decay: For the Mixer's weights of two or more dimensions, 0 or more.

    Raises:
        ValueError: The weight decay of the Mixer is below 0.
    """
    if not mixer_weight_decay >= 0:
        raise ValueError(f"mixer_weight_decay: expected at least 0, got {mixer_weight_decay}")
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
    ]
    rate = lr if mixer_lr is None else mixer_lr
    # one group where nothing decays, so that most runs have one row for the Mixer in their logs
    wide = [p for p in mixing if p.ndim >= 2] if mixer_weight_decay else []
    flat = [p for p in mixing if not mixer_weight_decay or p.ndim < 2]
    groups += [
        {"name": "mixer", "params": wide, "lr": rate, "weight_decay": mixer_weight_decay},
        {
            "name": "mixer biases" if wide else "mixer",
            "params": flat,
            "lr": rate,
            "weight_decay": 0.0,
        },
    ]
    if weight_decay is None:
        del groups[0]["weight_decay"]
    return [group for group in groups if group["params"]]
