"""Any timm model, or any module of one's own, as a classifier with a feature tap.

A tap is the place inside the network whose feature map the Mixer reads. timm names the places in
``feature_info`` and reads them with ``forward_intermediates``, which stops there when asked to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samix.errors import nearest

_PROBE_SIZE = 64  # pixels; large enough for five stages of stride 2
_LEAST_SCALE = 0.01  # of the learning rate, for the layers nearest to the image


class FeatureClassifier(nn.Module):
    """A linear classifier on a module that gives a feature map and an embedding.

    Args:
        body: Called with (B,3,H,W), returns ((B,C,h,w) features, (B,D) embedding).
        num_classes: Number of classes K; 0 is no classifier, the output is the embedding.
        image_size: Height and width in pixels of the probe that measures C and D.
    """

    def __init__(self, body: nn.Module, *, num_classes: int, image_size: int | None = None) -> None:
        super().__init__()
        features, embedding = _probe(body, image_size or _PROBE_SIZE)
        self.body = body
        self.num_classes = num_classes
        self.feature_channels = features.shape[1]
        self.embedding_width = embedding.shape[1]
        self.head = nn.Linear(embedding.shape[1], num_classes) if num_classes else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Return (B,K) logits, or (B,D) embeddings without classes."""
        return cast("Tensor", self.head(self.body(images)[1]))


@dataclass(frozen=True)
class Tap:
    """Where the Mixer reads: the index of a stage or block, and the channels of its map.

    Attributes:
        index: Index into timm's ``feature_info``; None for a :class:`FeatureClassifier`.
        channels: Number of channels C of the feature map.
    """

    index: int | None
    channels: int


def create_backbone(
    backbone: str | nn.Module,
    *,
    num_classes: int | None = None,
    stem: Literal["small"] | None = None,
    image_size: int | None = None,
    pretrained: bool = False,
    weights: str | Path | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Return a classifier: a timm model by name, a timm model, or a module of one's own.

    Args:
        backbone: A timm name; a timm model; or a module whose call returns a feature map and an
            embedding. A module is used as it is, not copied.
        num_classes: Number of classes K; 0 is no classifier, the output is the embedding; None
            takes that of a timm model that was passed.
        stem: "small" changes the first layers for images of up to 64 pixels, None keeps timm's.
        image_size: Height and width in pixels; transformers are built for one size.
        pretrained: Load the published weights of that name; for a name only.
        weights: File or name of trained weights, see :func:`samix.networks.load_weights`.
        model_kwargs: Further arguments of ``timm.create_model``; for a name only.

    Returns:
        A module from (B,3,H,W) to (B,K) logits.

    Raises:
        ValueError: The name is unknown, or options do not go together.
    """
    if stem not in (None, "small"):
        raise ValueError(f"stem: expected 'small' or None, got {stem!r}")
    if isinstance(backbone, nn.Module):
        if pretrained or model_kwargs:
            raise ValueError(
                "pretrained, model_kwargs: expected only with the name of a timm model, got a "
                f"{type(backbone).__name__}; give them where you create it"
            )
        model = _as_classifier(backbone, num_classes, image_size)
        if weights is not None:
            _load(model, weights)
    else:
        if num_classes is None:
            raise ValueError("num_classes: expected a number with the name of a timm model")
        if pretrained and weights is not None:
            raise ValueError(
                "weights: expected None beside pretrained, as both say where the weights come "
                f"from, got '{weights}'"
            )
        model = _create_timm(backbone, num_classes, pretrained, model_kwargs or {})
        if weights is not None:
            _load(model, weights, backbone)
        if stem is None and image_size is not None and hasattr(model, "set_input_size"):
            cast("Any", model).set_input_size(img_size=(image_size, image_size))
    return small_stem(model, image_size=image_size or 32) if stem == "small" else model


def layer_scales(network: nn.Module, decay: float) -> dict[nn.Parameter, float]:
    """Return the share of the learning rate for each parameter: less the nearer to the image.

    Args:
        network: A timm model; in another module the layers before the classifier are one.
        decay: Share of a layer's rate that the layer before it has, in (0, 1]. What counts as a
            layer is what timm says; a share below 1/100 is 1/100.

    Raises:
        ValueError: The decay is outside its range.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"layer_decay: expected a number in (0, 1], got {decay}")
    from timm import optim  # noqa: PLC0415 - takes two seconds

    from .weights import classifier_names  # noqa: PLC0415

    heads = tuple(f"{name}." for name in classifier_names(network))
    if not hasattr(network, "group_matcher"):
        return {p: decay for n, p in network.named_parameters() if not n.startswith(heads)}
    groups = cast("Any", optim).param_groups_layer_decay(
        network, layer_decay=decay, min_scale=_LEAST_SCALE, weight_decay_exclude_1d=False
    )
    return {p: float(group["lr_scale"]) for group in groups for p in group["params"]}


def find_tap(model: nn.Module, tap: int | None = None) -> Tap:
    """Return where the Mixer reads the model.

    The default is the last stage but one of a network in stages (8 x 8 for a ResNet with small stem
    at 32 pixels, 14 x 14 at 224) and the block in the middle of a transformer of one resolution.

    Args:
        model: A classifier from :func:`create_backbone`.
        tap: Index into the model's ``feature_info``, negative from the end; None takes the default.

    Raises:
        ValueError: The model has no such place.
    """
    if isinstance(model, FeatureClassifier):
        if tap is not None:
            raise ValueError(
                f"tap: expected None for a module that gives its feature map itself, got {tap}"
            )
        return Tap(None, model.feature_channels)
    stages = feature_info(model)
    if tap is None:
        one_resolution = len({stage["reduction"] for stage in stages}) == 1
        tap = (len(stages) - 1) // 2 if one_resolution else max(len(stages) - 2, 0)
    elif not -len(stages) <= tap < len(stages):
        raise ValueError(
            f"tap: expected an index into the {len(stages)} stages of {type(model).__name__}, "
            f"got {tap}"
        )
    tap %= len(stages)
    return Tap(tap, int(stages[tap]["num_chs"]))


def tap_features(model: nn.Module, images: Tensor, tap: Tap) -> Tensor:
    """Return the feature map at the tap; a timm model is run no further than there.

    Args:
        model: A classifier from :func:`create_backbone`.
        images: (B,3,H,W).
        tap: From :func:`find_tap`.

    Returns:
        (B,C,h,w).
    """
    if isinstance(model, FeatureClassifier):
        return cast("Tensor", model.body(images)[0])
    maps = model.forward_intermediates(  # type: ignore[operator]
        images, indices=[tap.index], stop_early=True, intermediates_only=True, output_fmt="NCHW"
    )
    return cast("Tensor", maps[0])


def up_to_tap(model: nn.Module, tap: Tap) -> nn.Module:
    """Leave out of a timm model what comes after a tap, in place.

    Raises:
        ValueError: The model cannot be cut.
    """
    if not hasattr(model, "prune_intermediate_layers"):
        raise ValueError(
            "encoder: expected a timm model that can be cut (prune_intermediate_layers), got "
            f"{type(model).__name__}"
        )
    model.prune_intermediate_layers([tap.index], prune_norm=True, prune_head=True)  # type: ignore[operator]
    return model


def features_and_embedding(model: nn.Module, images: Tensor, tap: Tap) -> tuple[Tensor, Tensor]:
    """Return the feature map at a tap and the embedding, in one pass through the network.

    Args:
        model: From :func:`create_backbone` with ``num_classes=0``.
        images: (B,3,H,W).
        tap: From :func:`find_tap`.

    Returns:
        (B,C,h,w) and (B,D).
    """
    return _features_and_end(model, images, tap, embedding=True)


def features_and_logits(model: nn.Module, images: Tensor, tap: Tap) -> tuple[Tensor, Tensor]:
    """Return the feature map at a tap and the logits, in one pass through a classifier.

    Args:
        model: From :func:`create_backbone`, with classes.
        images: (B,3,H,W).
        tap: From :func:`find_tap`.

    Returns:
        (B,C,h,w) and (B,K).
    """
    return _features_and_end(model, images, tap, embedding=False)


def _features_and_end(
    model: nn.Module, images: Tensor, tap: Tap, *, embedding: bool
) -> tuple[Tensor, Tensor]:
    """Return the feature map at a tap, and what comes before the last layer or out of it."""
    if isinstance(model, FeatureClassifier):
        features, end = model.body(images)
        return features, end if embedding else model.head(end)
    final, maps = model.forward_intermediates(  # type: ignore[operator]
        images,
        indices=[tap.index],
        output_fmt="NCHW",
        stop_early=False,  # hiera would, of itself
    )
    return maps[0], model.forward_head(final, pre_logits=embedding)  # type: ignore[operator]


def feature_info(model: nn.Module) -> list[dict[str, Any]]:
    """Return timm's list of the places where features can be read.

    Raises:
        ValueError: The model does not say where its features can be read.
    """
    info = getattr(model, "feature_info", None)
    if info is None or not hasattr(model, "forward_intermediates"):
        raise ValueError(
            f"backbone: expected a timm model with feature_info and forward_intermediates, or a "
            f"module that returns a feature map and an embedding, got {type(model).__name__}"
        )
    return list(getattr(info, "info", info))


def _as_classifier(module: nn.Module, num_classes: int | None, image_size: int | None) -> nn.Module:
    if isinstance(module, FeatureClassifier):
        return module
    if hasattr(module, "forward_intermediates"):
        own = int(cast("Any", module).num_classes)
        if num_classes not in (None, own):
            raise ValueError(
                f"num_classes: expected {own} as the model has, got {num_classes}; call "
                f"model.reset_classifier({num_classes}) first"
            )
        return module
    if num_classes is None:
        raise ValueError("num_classes: expected a number for a module of one's own, got None")
    return FeatureClassifier(module, num_classes=num_classes, image_size=image_size)


def _load(model: nn.Module, weights: str | Path, backbone: str | None = None) -> None:
    from .weights import load_weights  # noqa: PLC0415 - timm and torchvision take two seconds

    load_weights(model, weights, backbone=backbone)


def _create_timm(
    name: str, num_classes: int, pretrained: bool, model_kwargs: Mapping[str, Any]
) -> nn.Module:
    import timm  # noqa: PLC0415 - takes two seconds, and most policies need no network

    from .weights import published  # noqa: PLC0415

    if not timm.is_model(name):
        near = nearest(name, timm.list_models())
        raise ValueError(
            f"backbone: expected the name of a timm model, got {name!r}; the nearest is {near!r}"
        )
    options = {"num_classes": num_classes, **model_kwargs}
    if pretrained:
        return published(name, **options)
    model: nn.Module = timm.create_model(name, **options)
    return model


@torch.no_grad()
def _probe(body: nn.Module, image_size: int) -> tuple[Tensor, Tensor]:
    training = body.training
    weight = next(body.parameters(), torch.zeros(()))
    images = torch.zeros(1, 3, image_size, image_size, device=weight.device, dtype=weight.dtype)
    output = body.eval()(images)
    body.train(training)
    if (
        not isinstance(output, tuple | list)
        or len(output) != 2
        or [getattr(part, "ndim", None) for part in output] != [4, 2]
    ):
        raise ValueError(
            "backbone: expected a module that returns a (B,C,h,w) feature map and a (B,D) "
            f"embedding, got {type(output).__name__} from {type(body).__name__}; for a timm model "
            "pass its name"
        )
    return output[0], output[1]


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
        cast("Any", model).set_input_size(
            img_size=(image_size, image_size), patch_size=(patch, patch)
        )
    elif isinstance(getattr(model, "maxpool", None), nn.Module) and hasattr(model, "conv1"):
        model.conv1 = _small_first_convolution(cast("nn.Module", model.conv1))
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
    deep = cast("nn.Sequential", first)
    deep[0] = _convolution_like(cast("nn.Conv2d", deep[0]), kernel=3, stride=1)
    return deep


def _convolution_like(old: nn.Conv2d, *, kernel: int, stride: int) -> nn.Conv2d:
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


class Projected(nn.Module):
    """Backbone and projector.

    Args:
        backbone: From (B,3,H,W) to (B,D) embeddings.
        projector: From (B,D) to (B,P).
    """

    def __init__(self, backbone: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = projector
        self.channels_last = settle_format(backbone)

    def forward(self, images: Tensor) -> Tensor:
        """Return the (B,P) output of the projector, not normalised."""
        images = in_format(images, self.channels_last)
        return cast("Tensor", self.projector(self.backbone(images)))

    def features(self, images: Tensor, tap: Tap) -> Tensor:
        """Return the (B,C,h,w) features at a tap; a timm model is run no further than there."""
        return tap_features(self.backbone, in_format(images, self.channels_last), tap)

    def look(self, images: Tensor, tap: Tap) -> tuple[Tensor, Tensor]:
        """Return the (B,C,h,w) features at a tap and the (B,P) output, in one pass."""
        images = in_format(images, self.channels_last)
        features, embedding = features_and_embedding(self.backbone, images, tap)
        return features, cast("Tensor", self.projector(embedding))


def embedding_width(backbone: nn.Module) -> int:
    """Return D, the width of the embedding of a backbone from :func:`create_backbone`.

    Args:
        backbone: A timm model or a :class:`FeatureClassifier`, without classifier.

    Raises:
        ValueError: The module does not say it.
    """
    for name in ("embedding_width", "head_hidden_size", "num_features"):
        width = getattr(backbone, name, None)
        if isinstance(width, int):
            return width
    raise ValueError(
        "backbone: expected a timm model or a module that returns a feature map and an embedding, "
        f"got {type(backbone).__name__}"
    )


def unit(projection: Tensor) -> Tensor:
    """Return rows of unit norm, in float32 or wider: (B,P) to (B,P)."""
    wide = projection if projection.dtype.itemsize >= 4 else projection.float()
    return F.normalize(wide, dim=1)


_LEAST_VARIANCE = 1e-10  # of a channel that is no longer even


def standardised(images: Tensor) -> Tensor:
    """Return images with mean 0 and deviation 1 in each channel of each image.

    Args:
        images: (B,3,H,W) floating point.
    """
    return F.layer_norm(images, images.shape[2:], eps=_LEAST_VARIANCE)


class Standardised(nn.Module):
    """A network that looks at images standardised one by one.

    Args:
        network: From (B,3,H,W).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return what the network says of the standardised images."""
        return cast("Tensor", self.network(standardised(images)))


def never_narrower(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return a change of tensors, as ``nn.Module._apply`` takes it, that keeps their precision.

    Devices and wider types are taken over. Masks, keys and what they are computed by need the
    digits of float32, so that their modules stay in it when a whole method is cast to a lower one.
    """

    def changed(value: Tensor) -> Tensor:
        new = change(value)
        narrower = new.dtype.itemsize < value.dtype.itemsize
        return value.to(new.device) if narrower else new

    return changed


LEAST_CHANNELS = 16
"""Input channels per group from which any convolution is known to be safe in channels-last."""
_STEM_CHANNELS = 3


def fast_format(network: nn.Module) -> torch.memory_format:
    """Return the memory format in which a network runs fast and safely on the CPU.

    Channels-last where no convolution has 2 to 15 input channels per group, but for a stem that
    reads three with a kernel larger than one pixel; torch's default format elsewhere, and where it
    is not known what a module computes with narrow weights.

    Args:
        network: Any module; nothing in it is changed or run.
    """
    safe = all(_is_safe(module) for module in network.modules())
    return torch.channels_last if safe else torch.contiguous_format


def settle_format(network: nn.Module) -> bool:
    """Return whether :func:`fast_format` is channels-last, and bring weights out of an unsafe one.

    Weights on the CPU in channels-last would take the network's convolutions there, whatever the
    format of the images. They are changed in place; their values stay.
    """
    chosen = fast_format(network)
    if chosen is torch.contiguous_format:
        for parameter in network.parameters():
            if parameter.device.type == "cpu":
                parameter.data = parameter.data.contiguous()
    return chosen is torch.channels_last


def settle_weights(method: nn.Module) -> None:
    """Bring the weights of a method on the CPU into channels-last where that is their fast format.

    Each of its networks is judged alone. Gradients come in the format of the images, and are then
    not copied into another one. The weights are changed in place; their values stay. safetensors
    takes them made contiguous.
    """
    for network in method.children():
        if fast_format(network) is torch.channels_last:
            network.to(memory_format=torch.channels_last)


def in_format(images: Tensor, channels_last: bool) -> Tensor:
    """Return images in a memory format on the CPU, as they are on another device.

    What the fast format crashes is torch on the CPU alone: elsewhere the format is the user's
    choice. The device is that of the images, since a network may be moved at any time.

    Args:
        images: (B,C,H,W).
        channels_last: As :func:`settle_format` says of the network that is to see them.
    """
    if images.device.type != "cpu":
        return images
    chosen = torch.channels_last if channels_last else torch.contiguous_format
    return images.contiguous(memory_format=chosen)


def _is_safe(module: nn.Module) -> bool:
    """Say whether what a module computes with its own weights is safe in channels-last."""
    if isinstance(module, nn.ConvTranspose2d):
        return False
    if not isinstance(module, nn.Conv2d):
        own = module.parameters(recurse=False)
        return all(weights.shape[1] >= LEAST_CHANNELS for weights in own if weights.ndim == 4)
    channels = module.in_channels // module.groups
    depthwise = channels == 1 and module.groups > 1
    stem = channels == _STEM_CHANNELS and module.groups == 1 and min(module.kernel_size) > 1
    return channels >= LEAST_CHANNELS or depthwise or stem
