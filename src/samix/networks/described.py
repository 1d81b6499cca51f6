"""Networks that a file describes: a plain timm name, options that can do no harm, and few weights.

A file may be a stranger's. What ``timm.create_model`` takes beside options of the architecture can
name files to load and code to run, so only the options that are listed here are taken from a file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .backbone import create_backbone
from .mixer import Mixer, MixerOptions

MOST_PIXELS = 4096  # largest side of an image that a file may ask for, in px
_NAME = re.compile(r"[A-Za-z0-9_]{1,80}(\.[A-Za-z0-9_]{1,80})?")
_MOST_PARTS = 1000  # blocks of a stage, heads, groups
_MOST_WIDTH = 2**17
_MOST_LISTED = 64
_SLACK, _SHARE = 2**26, 4  # numbers, and numbers a byte of the weights file, that may be made

_COUNTS = (
    "layers", "depths", "depth", "depth_token_only", "num_heads", "heads", "num_kv_heads",
    "reg_tokens", "num_reg_tokens", "num_blocks", "block_config", "stages", "num_levels",
    "cardinality", "groups", "group_size", "patch_size", "patch_sizes", "window_size",
    "window_sizes", "kernel_size", "kernel_sizes", "down_kernel_size", "mask_unit_size",
    "q_pool", "local_up_to_layer", "num_vit", "serial_depths", "parallel_depth", "focal_levels",
    "focal_windows", "output_stride", "merge_size", "down_patch_size", "stem_kernel_size",
    "block_reduce_first", "width_mult", "depth_mult", "width_factor",
)  # fmt: skip
_WIDTHS = (
    "channels", "dims", "dim", "embed_dim", "embed_dims", "widths", "width", "base_width",
    "stem_width", "stem_size", "stem_chs", "num_features", "head_hidden_size", "head_dim",
    "feature_dim", "hidden_sizes", "initial_chs", "final_chs", "num_init_features",
    "growth_rate", "inner_dim", "base_dim", "base_dims", "neck_chans",
)  # fmt: skip
_SIZES = ("img_size",)
_NUMBERS = (
    "drop_rate", "drop_path_rate", "drop_block_rate", "attn_drop_rate", "proj_drop_rate",
    "pos_drop_rate", "patch_drop_rate", "mlp_ratio", "mlp_ratios", "attn_ratio", "expand_ratio",
    "init_values", "layer_scale_init_value", "ls_init_value", "head_init_scale", "norm_eps",
    "se_ratio", "bottle_ratio", "dim_mul", "head_mul", "rope_temperature", "locality_strength",
)  # fmt: skip
_SWITCHES = (
    "qkv_bias", "qk_norm", "proj_bias", "class_token", "no_embed_class", "pre_norm",
    "final_norm", "fc_norm", "use_fc_norm", "use_abs_pos_emb", "use_pos_embed", "use_post_norm",
    "use_rot_pos_emb", "dynamic_img_size", "dynamic_img_pad", "strict_img_size",
    "always_partition", "conv_mlp", "conv_bias", "use_grn", "swiglu_mlp", "scale_mlp",
    "avg_down", "replace_stem_pool", "zero_init_last", "head_norm_first", "head_bias",
    "head_norm", "fix_init", "patch_norm", "legacy", "small", "basic", "preact",
    "use_layer_scale", "v2", "distilled",
)  # fmt: skip
_LAYERS = (
    "batchnorm", "batchnorm2d", "groupnorm", "groupnorm1", "layernorm", "layernorm2d", "rmsnorm",
    "rmsnorm2d",
)  # fmt: skip
_ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "prelu", "gelu", "gelu_tanh",
    "quick_gelu", "silu", "swish", "mish", "hard_sigmoid", "hard_swish", "hard_mish", "sigmoid",
    "tanh",
)  # fmt: skip
_WORDS = {
    "stem_type": ("", "patch", "overlap", "overlap_tiered", "overlap_act", "deep", "deep_tiered"),
    "global_pool": ("", "avg", "max", "avgmax", "catavgmax", "token", "map"),
    "pos_embed": ("", "none", "learn"),
    "aa_layer": ("", "avg", "blur", "blurpc"),
    "norm_layer": _LAYERS,
    "act_layer": _ACTIVATIONS,
}
_MOST = {
    **dict.fromkeys(_COUNTS, _MOST_PARTS),
    **dict.fromkeys(_WIDTHS, _MOST_WIDTH),
    **dict.fromkeys(_SIZES, MOST_PIXELS),
}
OPTIONS = (*_MOST, *_NUMBERS, *_SWITCHES, *_WORDS)
"""The options of a timm model that are taken from a file."""

Built = TypeVar("Built")


def check_model_name(name: object) -> str:
    """Return a plain name of a timm model; a prefix, path or address is a ValueError."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ValueError(
            "backbone: expected the plain name of a timm model such as 'resnet18', got "
            f"{name!r:.80}"
        )
    return name


def check_model_options(options: object) -> dict[str, Any]:
    """Return options of a timm model that a file may bring: sizes, rates and switches.

    Raises:
        ValueError: One is not known to be harmless, or has a value of another kind or size.
    """
    if not isinstance(options, Mapping | None):
        raise ValueError(f"model_kwargs: expected names and values, got {options!r:.80}")
    for name, value in (options or {}).items():
        if name not in OPTIONS:
            raise ValueError(
                f"model_kwargs: {name!r:.80} is not among the options that a run or a file of it "
                "may have, which are sizes, rates and switches of an architecture such as layers, "
                "channels, depths, embed_dim and drop_path_rate; leave it out"
            )
        expected = _wrong(name, value)
        if expected:
            raise ValueError(f"model_kwargs: {name}: expected {expected}, got {value!r:.80}")
    return dict(options or {})


def check_image_size(size: object) -> int:
    """Return the side that a file may ask for; a ValueError unless 1 to :data:`MOST_PIXELS` px."""
    if not is_whole(size, 1, MOST_PIXELS):
        raise ValueError(f"image_size: expected 1 to {MOST_PIXELS} px, got {size!r:.80}")
    return int(size)  # type: ignore[call-overload,no-any-return]


def create_described(
    make: Mapping[str, Any], *, num_classes: int, weights: Path | None = None
) -> nn.Module:
    """Return the network that a file describes, with fresh weights.

    The global random state stays as it is.

    Args:
        make: ``backbone``, ``model_kwargs``, ``stem`` and ``image_size``.
        num_classes: Number of classes; 0 is no classifier.
        weights: The file of weights that belongs to it: the network may not be much larger. None
            takes the least that is allowed.

    Raises:
        ValueError: The description holds what is not taken from a file, or cannot be built.
    """
    name = check_model_name(make.get("backbone"))
    options = check_model_options(make.get("model_kwargs"))
    size = make.get("image_size")
    size = None if size is None else check_image_size(size)
    with torch.random.fork_rng(devices=[]):
        return built_small(
            lambda: create_backbone(
                name, num_classes=num_classes, stem=make.get("stem"), image_size=size,
                model_kwargs=options,
            ),
            f"backbone: '{name}'",
            weights,
        )  # fmt: skip


def described_mixer(channels: int, options: Mapping[str, Any], weights: Path | None) -> Mixer:
    """Return the Mixer that a file describes, with fresh weights; the random state stays.

    A ValueError where it cannot be built, or is too large for its file of weights.
    """
    with torch.random.fork_rng(devices=[]):
        return built_small(lambda: Mixer(channels, MixerOptions(**options)), "the Mixer", weights)


def built_small(build: Callable[[], Built], what: str, weights: Path | None) -> Built:
    """Return what is built from a file's description; a ValueError if too large or broken."""
    size = weights.stat().st_size if weights is not None and weights.is_file() else 0
    try:
        with _Counted(_SLACK + _SHARE * size):
            return build()
    except ValueError:
        raise
    except (RuntimeError, TypeError, AssertionError, LookupError, AttributeError, ArithmeticError,
            MemoryError) as error:  # fmt: skip
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{what} cannot be built as described ({reason})") from error


class _Counted(TorchFunctionMode):
    """Counts the numbers of new tensors, and refuses to go on where they are too many."""

    _made = (torch.empty, torch.zeros, torch.ones, torch.full, torch.randn, torch.rand)

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.left = most, most

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what was called, but not for a tensor that is too large."""
        given = kwargs or {}
        if func in self._made:
            shape = given.get("size", args[0] if args else ())
            lengths = shape if isinstance(shape, tuple | list) else args
            self.left -= math.prod(int(length) for length in lengths)
            if self.left < 0:
                raise ValueError(
                    f"a network of more than {self.most:,} numbers is described, which its file of "
                    "weights cannot fill"
                )
        return func(*args, **given)


def _wrong(name: str, value: object) -> str:
    """Return what was expected of an option, empty where the value is that."""
    if name in _SWITCHES:
        return "" if isinstance(value, bool) else "true or false"
    if name in _WORDS:
        known = _WORDS[name]
        return "" if value is None or value in known else f"one of {', '.join(known)}"
    listed = value if isinstance(value, list | tuple) else [value]
    parts = [p for one in listed for p in (one if isinstance(one, list | tuple) else [one])]
    few = len(listed) <= _MOST_LISTED and len(parts) <= _MOST_LISTED
    if name in _NUMBERS:
        fitting = few and all(p is None or _is_number(p) for p in parts)
        return "" if fitting else f"a number, or a list of at most {_MOST_LISTED}"
    most = _MOST[name]
    fitting = few and all(p is None or (_is_number(p) and 0 <= p <= most) for p in parts)
    return "" if fitting else f"0 to {most}, or a list of at most {_MOST_LISTED} such numbers"


def _is_number(value: object) -> TypeGuard[float]:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and -1e6 <= value <= 1e6  # type: ignore[operator]


def is_whole(value: object, least: int, most: int) -> bool:
    """Say whether a value of a file is a whole number in a range."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
