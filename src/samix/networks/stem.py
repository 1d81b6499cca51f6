"""small_stem: the change of the first layers that small images need."""

from __future__ import annotations

from typing import Any, cast

from torch import nn

# Stride of the first layers after the change, by kind of model: at 32 pixels a convolutional
# network keeps maps of 32, 16, 8 and 4, a transformer 8 x 8 tokens.
_VIT_PATCH = 4
_SWIN_PATCH = 2
_CONVNEXT_PATCH = 2


def small_stem(model: nn.Module, *, image_size: int = 32) -> nn.Module:
    """Replace the first layers of a timm model by ones for images of up to 64 pixels, in place.

    ResNets: 3 x 3 convolution of stride 1, no pooling (He et al. 2016, section 4.2); MobileNets and
    EfficientNets: stride 1; vision transformers: patches of 4 pixels; Swin and ConvNeXt: patches of
    2 pixels. New convolutions have fresh weights, also in a pre-trained model; patch and position
    embeddings of transformers are resampled from the ones there are.

    The same call on a fresh timm model makes a state dict that was exported by samix fit.

    Args:
        model: A timm model.
        image_size: Height and width in pixels; transformers are built for one size.

    Returns:
        The same model.

    Raises:
        ValueError: The model is of a kind whose first layers are not known here.
    """
    if hasattr(model, "patch_embed") and hasattr(model, "set_input_size"):
        patch = _SWIN_PATCH if hasattr(model, "layers") else _VIT_PATCH
        cast(Any, model).set_input_size(
            img_size=(image_size, image_size), patch_size=(patch, patch)
        )
    elif isinstance(getattr(model, "maxpool", None), nn.Module) and hasattr(model, "conv1"):
        model.conv1 = _small_first_convolution(cast(nn.Module, model.conv1))
        model.maxpool = nn.Identity()
    elif isinstance(stem := getattr(model, "conv_stem", None), nn.Conv2d):
        model.conv_stem = _convolution_like(stem, kernel=stem.kernel_size[0], stride=1)
    elif isinstance(stem := getattr(model, "stem", None), nn.Sequential) and isinstance(
        stem[0], nn.Conv2d
    ):
        stem[0] = _convolution_like(stem[0], kernel=_CONVNEXT_PATCH, stride=_CONVNEXT_PATCH)
    else:
        raise ValueError(
            f"stem: 'small' is known for ResNet, MobileNet, EfficientNet, ConvNeXt, ViT and Swin "
            f"models, got {type(model).__name__}; change its first layers yourself and pass the "
            "model with stem=None"
        )
    return model


def _small_first_convolution(first: nn.Module) -> nn.Module:
    """Return the first layers of a ResNet with a 3 x 3 convolution of stride 1."""
    if isinstance(first, nn.Conv2d):
        return _convolution_like(first, kernel=3, stride=1)
    # a deep stem: three convolutions of 3 x 3, of which the first has stride 2
    deep = cast(nn.Sequential, first)
    deep[0] = _convolution_like(cast(nn.Conv2d, deep[0]), kernel=3, stride=1)
    return deep


def _convolution_like(old: nn.Conv2d, *, kernel: int, stride: int) -> nn.Conv2d:
    """Return a fresh convolution with the channels of the old one."""
    padding = 0 if stride == kernel else kernel // 2
    new = nn.Conv2d(
        old.in_channels,
        old.out_channels,
        kernel,
        stride,
        padding,
        bias=old.bias is not None,
        device=old.weight.device,
        dtype=old.weight.dtype,
    )
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    return new
