"""One whole training step, of whatever kind, on images made up once.

Plain training, which all cost is compared with, is the loops that a person writes without samix.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samix.errors import InputError
from samix.evaluation.embeddings import Machine
from samix.methods import METHODS, CompiledStep, compile_step
from samix.networks import create_backbone, embedding_width, fast_format, unit, update_average
from samix.options import Options, option
from samix.policies import nearest

QUEUE = 4096  # keys of MoCo that wait as negatives, or a batch where that is larger
_LR = 0.01  # low enough for any network on noise; it does not change the cost
_TEMPERATURE = 0.2
_RAN_OUT = ("out of memory", "can't allocate memory")
_DECAY = 0.99
_WIDTH = {"moco": 128, "simclr": 128, "byol": 256, "mocov3": 256}


@dataclass(frozen=True, kw_only=True)
class Workload(Options):
    """What is trained in each step.

    Attributes:
        backbone: Name of a timm model.
        method: Name in :data:`samix.METHODS`.
        image_size: Height and width in pixels.
        batch_size: Photos in a step, at least 2; two views of each in self-supervised methods.
        classes: Number of classes K of a supervised method, at least 2.
        stem: "small" for images of up to 64 pixels, or None.
        model_kwargs: Further arguments of ``timm.create_model``.
        seed: Seed of weights, images and mixes.
    """

    backbone: str = "resnet18"
    method: str = "supervised"
    image_size: int = option(224, least=1)
    batch_size: int = option(32, least=2)
    classes: int = option(10, least=2)
    stem: Literal["small"] | None = None
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    seed: int = option(0, least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in METHODS:
            raise InputError(
                f"method: expected one of {', '.join(METHODS)}, got '{self.method}'; the nearest "
                f"is '{nearest(self.method, METHODS)}'"
            )

    @property
    def supervised(self) -> bool:
        """Whether labels are learned from."""
        return self.method == "supervised"

    def create_backbone(self) -> nn.Module:
        """Return a fresh network, without a classifier where there are no labels."""
        return create_backbone(
            self.backbone,
            num_classes=self.classes if self.supervised else 0,
            stem=self.stem,
            image_size=self.image_size,
            model_kwargs=self.model_kwargs,
        )

    @cached_property
    def fast(self) -> bool:
        """Whether samix runs the network in channels-last on the CPU; a fresh one is looked at.

        Raises:
            InputError: The network cannot be created.
        """
        with torch.random.fork_rng(devices=[]), told(self, "the network"):
            return fast_format(self.create_backbone()) is torch.channels_last

    def inputs(self, device: str, *, channels_last: bool = False) -> tuple[Any, ...]:
        """Return random images and classes, or a pair of random views, on a device.

        Args:
            device: Where they lie.
            channels_last: The memory format of the images.
        """
        memory = torch.channels_last if channels_last else torch.contiguous_format
        generator = torch.Generator().manual_seed(self.seed)
        shape = (2, self.batch_size, 3, self.image_size, self.image_size)
        first, second = (
            view.to(device).contiguous(memory_format=memory)
            for view in torch.randn(shape, generator=generator)
        )
        if not self.supervised:
            return ((first, second),)
        target = torch.randint(0, self.classes, (self.batch_size,), generator=generator)
        return first, target.to(device)


class PlainLoss(nn.Module):
    """A network with its loss: what the loop without samix computes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of images (B,3,H,W) and classes (B,)."""
        return F.cross_entropy(self.network(images), target)


@dataclass(eq=False, repr=False)
class TrainingStep:
    """Forward, backward, optimiser (SGD with momentum), and what follows it."""

    loss: Callable[[], Tensor]  # computes the scalar loss of a step
    held: nn.Module  # everything that stays in memory between steps
    groups: InitVar[Any]  # parameters for the optimiser
    machine: Machine
    after: Callable[[], None] | None = None  # after the optimiser, such as moving an average
    batch: tuple[Any, ...] | None = None  # what ``held``, called with it, makes the loss of
    notes: tuple[str, ...] = ()  # what was not compiled or replayed, and why
    _whole: CompiledStep | None = None

    def __post_init__(self, groups: Any) -> None:
        self.optimizer = torch.optim.SGD(groups, lr=_LR, momentum=0.9)
        kind = torch.device(self.machine.device).type
        self.scaler = torch.amp.GradScaler(kind, enabled=self.machine.autocast is torch.float16)

    def compiled(self) -> TrainingStep:
        """Compile the step, and replay it where that is possible; return it."""
        whole = compile_step(self.held, self.optimizer)
        self.notes = tuple(note for note in whole.notes if "GPU" not in note)
        if whole.replays and self.batch is not None and not self.scaler.is_enabled():
            self._whole = whole
        return self

    def __call__(self) -> None:
        """Do one step; on an accelerator it may still be under way, see :meth:`finish`."""
        if self._whole is not None and self.batch is not None:
            with self.machine.precision():
                self._whole(*self.batch)
            return
        with self.machine.precision():
            loss = self.loss()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.after is not None:
            self.after()

    def finish(self) -> None:
        """Wait until the device has done all that it was given."""
        kind = torch.device(self.machine.device).type
        if kind == "cuda":
            torch.cuda.synchronize(self.machine.device)
        elif kind == "mps":
            torch.mps.synchronize()

    @property
    def weights(self) -> int:
        """Bytes of what is held between steps, without gradients and the optimiser's state."""
        tensors = (*self.held.parameters(), *self.held.buffers())
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def plain_step(
    workload: Workload, machine: Machine, *, channels_last: bool = False
) -> TrainingStep:
    """Return a step of training without mixing: a classifier, or a self-supervised method."""
    inputs = workload.inputs(machine.device, channels_last=channels_last)
    model = workload.create_backbone()
    if workload.supervised:
        loss = PlainLoss(_placed(model, machine, channels_last=channels_last))
        return TrainingStep(lambda: loss(*inputs), loss, loss.parameters(), machine, batch=inputs)
    projector, predictor = _heads(workload.method, embedding_width(model))
    encoder = nn.Sequential(model, projector)
    networks = nn.ModuleDict({"encoder": encoder, "predictor": predictor})
    _placed(networks, machine, channels_last=channels_last)
    (views,) = inputs
    if workload.method == "simclr":
        return TrainingStep(
            lambda: simclr_loss(*(unit(encoder(view)) for view in views)),
            networks,
            list(networks.parameters()),
            machine,
        )
    return _momentum_step(workload, machine, networks, views)


@contextmanager
def told(workload: Workload, what: str, *, stepping: bool = False) -> Iterator[None]:
    """Say in one sentence why a network cannot be created or, when ``stepping``, a step be done."""
    try:
        yield
    except (InputError, ModuleNotFoundError):
        raise
    except (RuntimeError, MemoryError) as error:
        short = any(word in str(error).lower() for word in _RAN_OUT)
        if short or isinstance(error, torch.OutOfMemoryError | MemoryError):
            raise out_of_memory(workload, what) from error
        raise _unfit(workload, what, error) from error
    except (ValueError, TypeError, AttributeError, AssertionError) as error:
        if stepping or isinstance(error, AssertionError):
            raise _unfit(workload, what, error) from error
        raise InputError(str(error).splitlines()[0]) from error


def out_of_memory(workload: Workload, what: str) -> InputError:
    """Return the complaint about memory that ran out."""
    return InputError(
        f"memory ran out at {what} with batch_size={workload.batch_size} and "
        f"image_size={workload.image_size}; choose a smaller batch"
    )


def _unfit(workload: Workload, what: str, error: BaseException) -> InputError:
    reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    return InputError(
        f"{what} does not work with {workload.backbone} at image_size={workload.image_size} "
        f"({reason}); choose another size, backbone or model_kwargs"
    )


def _momentum_step(
    workload: Workload, machine: Machine, networks: nn.ModuleDict, views: tuple[Tensor, Tensor]
) -> TrainingStep:
    encoder, predictor = networks["encoder"], networks["predictor"]
    trained = list(networks.parameters())
    average = copy.deepcopy(encoder).requires_grad_(False)
    networks["average"] = average
    first, second = views
    batch, width = len(first), _WIDTH[workload.method]
    if workload.method == "moco":
        queue = unit(torch.randn(max(QUEUE, batch), width)).to(first.device)
        networks.register_buffer("queue", queue)

    def keys(view: Tensor) -> Tensor:
        with torch.no_grad():
            return unit(average(view))

    def moco() -> Tensor:
        key = keys(second)
        loss = moco_loss(unit(encoder(first)), key, queue.clone())
        queue[:batch] = key  # where in the queue does not matter for the cost
        return loss

    def symmetric(loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        pairs = ((first, second), (second, first))
        return torch.stack([loss(unit(predictor(encoder(q))), keys(k)) for q, k in pairs]).mean()

    losses: dict[str, Callable[[], Tensor]] = {
        "moco": moco,
        "byol": lambda: symmetric(byol_loss),
        "mocov3": lambda: symmetric(batch_loss),
    }
    return TrainingStep(
        losses[workload.method],
        networks,
        trained,
        machine,
        after=lambda: update_average(average, encoder, _DECAY),
    )


def moco_loss(query: Tensor, key: Tensor, queue: Tensor) -> Tensor:
    """InfoNCE of (B,P) queries, their (B,P) keys, and (Q,P) negatives: a scalar."""
    logits = torch.cat([(query * key).sum(1, keepdim=True), query @ queue.t()], dim=1)
    own = torch.zeros(len(query), dtype=torch.int64, device=query.device)
    return F.cross_entropy(logits / _TEMPERATURE, own)


def simclr_loss(first: Tensor, second: Tensor) -> Tensor:
    """NT-Xent of the (B,P) projections of two views: a scalar."""
    both = torch.cat([first, second])
    logits = (both @ both.t() / _TEMPERATURE).fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits, torch.arange(len(both), device=both.device).roll(len(first)))


def byol_loss(query: Tensor, key: Tensor) -> Tensor:
    """Mean squared distance of (B,P) unit vectors: a scalar."""
    return 2.0 - 2.0 * (query * key).sum(1).mean()


def batch_loss(query: Tensor, key: Tensor) -> Tensor:
    """InfoNCE of (B,P) queries among the (B,P) keys of their batch: a scalar."""
    return F.cross_entropy(
        query @ key.t() / _TEMPERATURE, torch.arange(len(query), device=query.device)
    )


def _heads(method: str, width: int) -> tuple[nn.Module, nn.Module]:
    from lightly.models.modules.heads import (  # noqa: PLC0415 - an extra
        BYOLPredictionHead,
        BYOLProjectionHead,
        MoCoProjectionHead,
        SimCLRProjectionHead,
    )

    out, hidden = _WIDTH[method], 2 * width
    if method == "moco":
        return MoCoProjectionHead(width, width, out, batch_norm=True), nn.Identity()
    if method == "simclr":
        return SimCLRProjectionHead(width, width, out), nn.Identity()
    predictor = BYOLPredictionHead(out, hidden, out)
    if method == "byol":
        return BYOLProjectionHead(width, hidden, out), predictor
    return MoCoProjectionHead(width, hidden, out, num_layers=3, batch_norm=True), predictor


def _placed(model: nn.Module, machine: Machine, *, channels_last: bool) -> nn.Module:
    model = model.to(machine.device).train()
    return model.to(memory_format=torch.channels_last) if channels_last else model
