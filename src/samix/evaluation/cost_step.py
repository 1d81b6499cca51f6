"""One whole training step, of whatever kind, on images made up once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from samix.errors import InputError
from samix.methods import METHODS
from samix.networks import create_backbone, fast_format
from samix.policies import nearest

from .embeddings import Machine

_LR = 0.01  # low enough for any network on noise; it does not change the cost


@dataclass(frozen=True, kw_only=True)
class Workload:
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
    image_size: int = 224
    batch_size: int = 32
    classes: int = 10
    stem: str | None = None
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, why in (
            ("image_size", 1, ""),
            ("batch_size", 2, ": a photo is mixed with another one"),
            ("classes", 2, ""),
            ("seed", 0, ""),
        ):
            value = getattr(self, name)
            if value < least:
                flag = name.replace("_", "-")
                raise InputError(f"--{flag} must be at least {least}{why}, got {value}")
        if self.method not in METHODS:
            raise InputError(
                f"--method must be one of {', '.join(METHODS)}, got '{self.method}'; the nearest "
                f"is '{nearest(self.method, METHODS)}'"
            )
        if self.stem not in (None, "small"):
            raise InputError(f"--stem must be 'small' or left out, got '{self.stem}'")

    @property
    def supervised(self) -> bool:
        """Whether labels are learned from."""
        return self.method == "supervised"

    def create_backbone(self) -> nn.Module:
        """Return a fresh network, without a classifier where there are no labels."""
        return create_backbone(
            self.backbone,
            num_classes=self.classes if self.supervised else 0,
            stem=cast(Literal["small"] | None, self.stem),
            image_size=self.image_size,
            model_kwargs=self.model_kwargs,
        )

    @cached_property
    def fast(self) -> bool:
        """Whether samix runs the network in channels-last on the CPU; a fresh one is looked at.

        Raises:
            InputError: It cannot be created.
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


class TrainingStep:
    """Forward, backward, optimiser (SGD with momentum), and what follows it.

    Args:
        loss: Computes the scalar loss of a step.
        held: Everything that stays in memory between steps.
        groups: Parameters for the optimiser.
        machine: Device and precision.
        after: What is done after the optimiser, such as moving an average; None does nothing.
    """

    def __init__(
        self,
        loss: Callable[[], Tensor],
        held: nn.Module,
        groups: Any,
        machine: Machine,
        after: Callable[[], None] | None = None,
    ) -> None:
        self.loss = loss
        self.held = held
        self.machine = machine
        self.after = after
        self.optimizer = torch.optim.SGD(groups, lr=_LR, momentum=0.9)
        kind = torch.device(machine.device).type
        self.scaler = torch.amp.GradScaler(kind, enabled=machine.autocast is torch.float16)

    def __call__(self) -> None:
        """Do one step; on an accelerator it may still be under way, see :meth:`finish`."""
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


@contextmanager
def told(workload: Workload, what: str, *, stepping: bool = False) -> Iterator[None]:
    """Say in one sentence why a network cannot be created, or a step cannot be done.

    Args:
        workload: What is trained.
        what: The setting, as the sentence names it.
        stepping: Whether a step is done; what is wrong with names is said when networks are made.

    Raises:
        InputError: It cannot; memory that ran out is told apart.
    """
    try:
        yield
    except (InputError, ModuleNotFoundError):
        raise
    except (RuntimeError, MemoryError) as error:
        if _ran_out(error):
            raise out_of_memory(workload, what) from error
        raise _unfit(workload, what, error) from error
    except (ValueError, TypeError, AttributeError, AssertionError) as error:
        if stepping or isinstance(error, AssertionError):
            raise _unfit(workload, what, error) from error
        raise InputError(str(error).splitlines()[0]) from error


def out_of_memory(workload: Workload, what: str) -> InputError:
    """Return the complaint about memory that ran out."""
    return InputError(
        f"memory ran out at {what} with --batch-size {workload.batch_size} and --image-size "
        f"{workload.image_size}; choose a smaller batch"
    )


def _ran_out(error: BaseException) -> bool:
    text = str(error).lower()
    short = "out of memory" in text or "can't allocate memory" in text
    return short or isinstance(error, torch.OutOfMemoryError | MemoryError)


def _unfit(workload: Workload, what: str, error: BaseException) -> InputError:
    reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    return InputError(
        f"{what} does not work with {workload.backbone} at --image-size {workload.image_size} "
        f"({reason}); choose another size, backbone or --model-kwargs"
    )
