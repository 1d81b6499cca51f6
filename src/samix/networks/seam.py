"""A seam inside the network: what comes out of a stage is changed on its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from .backbone import FeatureClassifier, feature_info


def stage_module(model: nn.Module, stage: int) -> nn.Module:
    """Return the module that ends a stage.

    Args:
        model: A timm model.
        stage: Index into its ``feature_info``, negative from the end.

    Raises:
        ValueError: The model has no such stage.
    """
    if isinstance(model, FeatureClassifier):
        raise ValueError(
            "backbone: expected a timm model, whose stages are known, for a policy that mixes "
            "inside the network, got a module of one's own; use a policy that mixes images"
        )
    stages = feature_info(model)
    if not -len(stages) <= stage < len(stages):
        raise ValueError(
            f"stages: expected indices of the {len(stages)} stages of {type(model).__name__}, got "
            f"{stage}"
        )
    return model.get_submodule(stages[stage]["module"])


@contextmanager
def changed_at(model: nn.Module, stage: int, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let what comes out of a stage pass through a function while the context is open.

    Args:
        model: A timm model.
        stage: Index into its ``feature_info``, negative from the end.
        change: From features to features of the same shape: (B,C,h,w) maps, also of a network whose
            own are (B,h,w,C); or (B,N,C) tokens.
    """
    channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"

    def hook(module: nn.Module, inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise ValueError(
                f"stages: expected a stage of {type(model).__name__} that gives features, got "
                f"{type(output).__name__} at stage {stage}; choose another stage"
            )
        if channels_last and output.ndim == 4:
            return change(output.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return change(output)

    handle = stage_module(model, stage).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
