"""Mixes of other libraries, each called in its own form; their labels become soft rows.

None of these libraries is imported here: a transform says by its module whose it is.
"""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from samix.errors import InputError

from .subject import Subject, copied, name_of

_OWN_STATE = (
    "{0} draws from a random state of its own; here it was set anew for each call, so that draws "
    "can be repeated."
)


def library_subject(given: Any, num_classes: int) -> Subject | None:
    """Return a transform whose library calls it in a form of its own; None for any other.

    InputError where it is of such a library, but mixes no labels.
    """
    opened = _LIBRARIES.get(_library(given))
    return None if opened is None else opened(given, num_classes)


def is_library_mix(given: object) -> bool:
    """Say whether a thing is of a library whose mixes are called in a form of their own."""
    return _library(given) in _LIBRARIES


def _library(given: object) -> str:
    named = getattr(given, "func", given)
    module = named.__module__ if hasattr(named, "__name__") else type(given).__module__
    return str(module or "").partition(".")[0]


def two(result: object, num_classes: int) -> tuple[Any, Any]:
    """Return images and soft target of what a transform gave back.

    That is (images, soft target), or (images, target, target of the partners, lam), which is the
    form of the code published with mixup and CutMix; lam is the original's share.
    """
    things = result if isinstance(result, tuple | list) else ()
    if len(things) == 2:
        return things[0], things[1]
    if len(things) == 4 and all(isinstance(thing, Tensor) for thing in things[:3]):
        mixed, own, partner, lam = things
        return mixed, mixed_rows(own, partner, lam, num_classes)
    kind = f"{len(things)} things" if things else type(result).__name__
    raise InputError(
        "the transform should return (images, soft target), or (images, target, target of the "
        f"partners, lam), got {kind}"
    )


def mixed_rows(own: Tensor, partner: Tensor, share: Any, num_classes: int) -> Tensor:
    """Return soft rows (B,K) of two targets.

    Args:
        own: (B,) classes or (B,K) rows of the originals.
        partner: The same of the partners.
        share: Of the originals, a number or (B,).
        num_classes: Number of classes K.
    """
    weight = torch.as_tensor(share, dtype=torch.float32).reshape(-1, 1)
    return weight * _rows(own, num_classes) + (1 - weight) * _rows(partner, num_classes)


def _rows(target: Tensor, num_classes: int) -> Tensor:
    """Return classes (B,), or rows (B,K), as rows (B,K) float32."""
    if target.ndim == 2:
        return target.float()
    return torch.nn.functional.one_hot(target.long(), num_classes).float()


def _ancestors(given: object) -> set[str]:
    return {kind.__name__ for kind in type(given).__mro__}


def _no_labels(given: object, what: str) -> InputError:
    return InputError(f"{name_of(given)} {what}; give a transform that mixes images and labels")


# ---- kornia


def _kornia(given: Any, num_classes: int) -> Subject | None:
    """Return a mix of kornia, or the mixes of a container of its augmentations.

    Labels are rows (class, class of the partner, weight). Of RandomMixUpV2, and of RandomCutMixV2
    without ``use_correct_lambda``, the weight is that of the partner; with it, of the original.
    """
    if "ImageSequential" in _ancestors(given):
        return _kornia_container(given, num_classes)
    if "MixAugmentationBaseV2" not in _ancestors(given):
        raise _no_labels(given, "mixes no images")
    _kornia_classes(given)

    def call(images: Tensor, target: Tensor, _: torch.Generator | None) -> tuple[Tensor, Tensor]:
        mixed, labels = given(images, target, data_keys=["input", "class"])
        return mixed, _kornia_rows(given, labels, num_classes)

    return Subject(
        name=name_of(given),
        call=call,
        p=float(given.p_batch),
        smoothing=0.0,
        notes=(_kornia_note([given]),),
    )


def _kornia_container(given: Any, num_classes: int) -> Subject:
    """Return the mixes of a container, which gives mixed images and no labels.

    Labels come from the mix itself, with what the container has drawn for it.
    """
    members = [part for part in given.modules() if "_BasicAugmentationBase" in _ancestors(part)]
    mixes = [part for part in members if "MixAugmentationBaseV2" in _ancestors(part)]
    others = [type(part).__name__ for part in members if part not in mixes]
    if not mixes:
        raise _no_labels(given, f"holds no mix, only {', '.join(others) or 'nothing'}")
    for mix in mixes:
        _kornia_classes(mix)
    several = len(mixes) > 1
    only = type(given)(
        *copy.deepcopy(mixes), data_keys=["input"], random_apply=1 if several else False
    )

    def call(images: Tensor, target: Tensor, _: torch.Generator | None) -> tuple[Tensor, Tensor]:
        mixed = only(images)
        (drawn,) = only._params
        mix = getattr(only, drawn.name)
        _, labels = mix(images, target, params=drawn.data, data_keys=["input", "class"])
        return mixed, _kornia_rows(mix, labels, num_classes)

    notes = [_kornia_note(mixes)]
    notes.append(
        "the container gives no labels; they were made by its mix with what it drew for the images."
    )
    if others:
        notes.append(f"left out, since they mix nothing: {', '.join(dict.fromkeys(others))}.")
    return Subject(
        name=name_of(given),
        call=call,
        p=None if several else float(mixes[0].p_batch),
        smoothing=0.0,
        notes=tuple(notes),
    )


def _kornia_classes(mix: Any) -> None:
    """Refuse a mix of kornia that has no labels of classes."""
    try:
        copied(mix)(torch.zeros(2, 3, 64, 64), torch.arange(2), data_keys=["input", "class"])
    except (NotImplementedError, RuntimeError) as error:
        raise _no_labels(mix, "gives no labels of classes") from error


def _kornia_rows(mix: Any, labels: Tensor, num_classes: int) -> Tensor:
    rows = labels[0] if labels.ndim == 3 and len(labels) == 1 else labels
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise InputError(
            f"{name_of(mix)}: expected labels (B,3) of one mix, got {tuple(rows.shape)}; only with "
            "num_mix=1 do they say which share of the pixels they stand for"
        )
    weight = rows[:, 2] if getattr(mix, "use_correct_lambda", False) else 1.0 - rows[:, 2]
    return mixed_rows(rows[:, 0], rows[:, 1], weight, num_classes)


def _kornia_note(mixes: Sequence[Any]) -> str:
    whose = {getattr(mix, "use_correct_lambda", False) for mix in mixes}
    words = " or ".join("original" if own else "partner" for own in sorted(whose))
    return (
        "labels of kornia are rows (class, class of the partner, weight); here they were made soft "
        f"rows, with the weight as that of the {words}."
    )


# ---- timm


def _timm(given: Any, num_classes: int) -> Subject | None:
    """Return a Mixup of timm for several labels a photo, which takes rows; None for the usual one.

    Its label smoothing draws each label towards one half, and is taken off.
    """
    if "FastCollateMixup" in _ancestors(given):
        raise InputError(
            f"{name_of(given)} collates the bytes of a loader; give timm.data:Mixup with the same "
            "options, which mixes alike"
        )
    if not getattr(given, "multi_label", False):
        return None
    own, smoothing = copied(given), float(given.label_smoothing)

    def call(images: Tensor, target: Tensor, _: torch.Generator | None) -> tuple[Tensor, Tensor]:
        mixed, soft = own(images, _rows(target, given.num_classes))
        return mixed, (soft - 0.5 * smoothing) / (1.0 - smoothing)

    notes = ["classes were given as rows of 0 and 1, as it takes them for several labels a photo."]
    if smoothing:
        notes.append(f"its label smoothing of {smoothing:.3g}, towards 0.5, was taken off.")
    return Subject(
        name=name_of(given),
        call=call,
        p=float(given.mix_prob),
        smoothing=0.0,
        twin=lambda: call,
        notes=tuple(notes),
    )


# ---- MONAI


def _monai(given: Any, num_classes: int) -> Subject:
    """Return MixUp or CutMix of MONAI, on tensors or on a dictionary."""
    own = copied(given)
    mixer = getattr(own, "mixup", None) or getattr(own, "mixer", None) or own
    if not hasattr(mixer, "batch_size") or type(mixer).__name__ not in ("MixUp", "CutMix"):
        raise _no_labels(given, "mixes no labels")
    image, label = _monai_keys(own)

    def apply(images: Tensor, rows: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        mixer.batch_size = len(images)
        own.set_random_state(seed=seed)
        if own is mixer:
            return two(own(images, rows), num_classes)
        answer = own({image: images, label: rows})
        return answer[image], answer[label]

    maps = _refused(lambda: apply(torch.zeros(2, 3, 8, 8), torch.eye(2), 0))

    def call(images: Tensor, target: Tensor, draws: torch.Generator | None) -> tuple[Any, Any]:
        rows = _rows(target, num_classes)
        seed = 0 if draws is None else draws.initial_seed() % 2**32
        mixed, soft = apply(images, rows[:, :, None, None] if maps else rows, seed)
        return torch.as_tensor(mixed), torch.as_tensor(soft).flatten(1)

    notes = [_OWN_STATE.format("MONAI")]
    if maps:
        notes.append(
            "it takes no rows (B,K) as labels; here they were given as maps (B,K,1,1) of a pixel."
        )
    return Subject(name_of(given), call, p=1.0, takes_generator=True, notes=tuple(notes))


def _monai_keys(own: Any) -> tuple[Any, Any]:
    keys = (*getattr(own, "keys", ()), *getattr(own, "label_keys", ()))
    if hasattr(own, "keys") and len(keys) != 2:
        raise InputError(
            f"{name_of(own)}: expected the key of the images and that of the labels, got "
            f"{list(keys)}; give for instance keys=['image', 'label'], and to CutMixd "
            "keys=['image'] and label_keys=['label']"
        )
    return keys or (None, None)


def _refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except ValueError:
        return True
    return False


# ---- keras


def _keras(given: Any, num_classes: int) -> Subject:
    """Return a layer of keras, called with {"images": ..., "labels": ...}."""
    if not _ancestors(given) & {"MixUp", "CutMix"}:
        raise _no_labels(given, "mixes no labels")
    first = getattr(given, "data_format", "channels_last") == "channels_first"

    def call(images: Tensor, target: Tensor, draws: torch.Generator | None) -> tuple[Any, Any]:
        seed = 0 if draws is None else draws.initial_seed() % 2**31
        layer = type(given).from_config({**given.get_config(), "seed": seed})
        shaped = images if first else images.permute(0, 2, 3, 1)
        rows = _rows(target, num_classes)
        answer = layer({"images": shaped.numpy(), "labels": rows.numpy()})
        mixed, soft = _tensor(answer["images"]), _tensor(answer["labels"])
        return mixed if first else mixed.permute(0, 3, 1, 2).contiguous(), soft

    note = _OWN_STATE.format("a layer of keras")
    return Subject(name_of(given), call, p=1.0, takes_generator=True, notes=(note,))


def _tensor(array: Any) -> Tensor:
    """Return an array of any backend as a tensor."""
    if not isinstance(array, Tensor):
        array = torch.from_numpy(array.numpy() if hasattr(array, "numpy") else array.__array__())
    found: Tensor = array.detach().cpu()
    return found


# ---- composer


def _composer(given: Any, num_classes: int) -> Subject:
    """Return mixup_batch or cutmix_batch of composer, or its algorithms MixUp and CutMix.

    The share that mixup_batch returns is that of the partner, that of cutmix_batch is that of the
    original. An algorithm is given the events of a training step.
    """
    name = getattr(getattr(given, "func", given), "__name__", type(given).__name__)
    if name in ("mixup_batch", "cutmix_batch"):

        def call(images: Tensor, target: Tensor, _: torch.Generator | None) -> tuple[Any, Any]:
            mixed, partner, share = given(images, target)[:3]
            own = share if name == "cutmix_batch" else 1.0 - share
            return mixed, mixed_rows(target, partner, own, num_classes)

        whose = "original" if name == "cutmix_batch" else "partner"
        note = f"the function returns the share of the {whose}; soft rows were made of it here."
        return Subject(name_of(given), call, p=1.0, smoothing=0.0, notes=(note,))
    if name not in ("MixUp", "CutMix"):
        raise _no_labels(given, "mixes no labels")
    own, events = copied(given), sys.modules[type(given).__module__].Event

    def step(images: Tensor, target: Tensor, _: torch.Generator | None) -> tuple[Any, Any]:
        state = _ComposerState(own, images, target, num_classes)
        for event in (events.BEFORE_FORWARD, events.BEFORE_LOSS, events.BEFORE_BACKWARD):
            if own.match(event, state):
                own.apply(event, state, None)
        mixed, soft = state.batch[own.input_key], state.batch[own.target_key]
        return mixed, state.loss if own.interpolate_loss else soft

    note = "the algorithm was given the events of a step" + (
        ", and a loss that is a row of the target." if given.interpolate_loss else "."
    )
    return Subject(name_of(given), step, p=1.0, smoothing=0.0, notes=(note,))


class _ComposerState:
    """What an algorithm reads and changes in a training step.

    The loss is a row of the target for each sample, so that a mix of losses is the soft target.
    """

    def __init__(self, owner: Any, images: Tensor, target: Tensor, num_classes: int) -> None:
        self.batch = {owner.input_key: images, owner.target_key: target}
        self.outputs = torch.zeros(len(images), num_classes)
        self.loss = _rows(target, num_classes)
        self.model = SimpleNamespace(loss=lambda _, batch: _rows(batch[1], num_classes))

    def batch_get_item(self, key: Any) -> Any:
        return self.batch[key]

    def batch_set_item(self, key: Any, value: Any) -> None:
        self.batch[key] = value


# ---- fastai


def _fastai(given: Any, num_classes: int) -> Subject:
    """Return a callback of fastai, MixUp or CutMix, whose loss is a mix of two losses."""
    if not hasattr(given, "before_batch") or not hasattr(given, "lf"):
        raise _no_labels(given, "mixes no labels")

    def call(images: Tensor, target: Tensor, _: torch.Generator | None) -> tuple[Any, Any]:
        callback, learner = copied(given), _Learner(images, target)
        callback.learn = learner
        callback.before_train()
        callback.before_batch()
        if target.ndim == 2:
            return learner.xb[0], learner.yb[0]
        # a loss that is 1 for one class: the mix of two of them is the label's share of the class
        shares = [callback.lf(number, *learner.yb) for number in range(num_classes)]
        return learner.xb[0], torch.stack(shares, dim=1)

    note = "the callback was given a batch, and a loss that is the share of each class in turn."
    return Subject(name_of(given), call, p=1.0, smoothing=0.0, notes=(note,))


class _Learner:
    """What a callback reads and changes of a learner in training."""

    training = True

    def __init__(self, images: Tensor, target: Tensor) -> None:
        self.xb: tuple[Tensor, ...] = (images,)
        self.yb: tuple[Tensor, ...] = (target,)
        self.loss_func: Any = _IsClass(y_int=target.ndim == 1)

    @property
    def x(self) -> Tensor:
        return self.xb[0]

    @property
    def y(self) -> Tensor:
        return self.yb[0]


class _IsClass:
    """A loss that is 1 for samples of a class, and 0 for others."""

    def __init__(self, y_int: bool) -> None:
        self.y_int, self.reduction = y_int, "none"

    def __call__(self, number: int, target: Tensor) -> Tensor:
        return (target == number).float()


# ---- albumentations


def _albumentations(given: Any, num_classes: int) -> Subject:
    """Return MixUp of albumentations 1.4, which mixes a photo with one of its reference data.

    The photos of the batch are the reference data here.
    """
    members: Iterable[Any] = getattr(given, "transforms", None) or [given]
    mixes = [
        part for part in members if hasattr(part, "reference_data") and "MixUp" in _ancestors(part)
    ]
    if not mixes:
        raise _no_labels(given, "mixes no labels, as MixUp of albumentations 1.4.14 does")
    own = copy.copy(mixes[0])
    own.read_fn = lambda item: item

    def call(images: Tensor, target: Tensor, _: torch.Generator | None) -> tuple[Any, Any]:
        rows = _rows(target, num_classes).numpy()
        photos = images.permute(0, 2, 3, 1).contiguous().numpy()
        own.reference_data = [
            {"image": photo, "global_label": row} for photo, row in zip(photos, rows, strict=True)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mixed = [own(image=p, global_label=r) for p, r in zip(photos, rows, strict=True)]
        stacked = torch.stack([torch.from_numpy(answer["image"]) for answer in mixed])
        soft = torch.stack([torch.as_tensor(answer["global_label"]) for answer in mixed])
        return stacked.permute(0, 3, 1, 2).contiguous(), soft

    note = "photos and labels of the batch stood for its reference data, and read_fn was left out."
    return Subject(name_of(mixes[0]), call, p=float(own.p), smoothing=0.0, notes=(note,))


_LIBRARIES: dict[str, Callable[[Any, int], Subject | None]] = {
    "albumentations": _albumentations,
    "composer": _composer,
    "fastai": _fastai,
    "keras": _keras,
    "kornia": _kornia,
    "monai": _monai,
    "timm": _timm,
}
"""Libraries by the name of their package."""
