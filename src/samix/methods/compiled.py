"""A whole training step with less of Python in it: compiled regions, and steps that are replayed.

The step is the one that there is. torch.compile takes over the parts of its networks that repeat
(on any device), and a CUDA graph replays its forward and backward pass (on a GPU), for which its
draws are made beforehand into tensors that stay where they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from samix.mixing import FixedDraws
from samix.networks import Mixer

from .step import StepOutput
from .supervised import SupervisedMethod

REPLAYED = frozenset(
    ("none", "mixup", "cutmix", "mixup-cutmix", "samix", "automix", "adautomix", "samix-p")
)
"""Policies of which nothing but tensors changes from step to step, so that a step can be replayed.
Others choose by numbers that are known on the CPU alone, such as how many pixels are shown."""
_WARM = 3  # steps before one is captured, so that all that is made once is there
_RECOMPILED = 64  # versions of one block: of other widths, with and without gradient
_MOST_CAPTURED = 8  # kinds of steps, each with memory of its own


def compile_step(
    method: nn.Module, optimizer: Any, *, clip: float | None = None, replay: bool | None = None
) -> CompiledStep:
    """Return a training step that does what the loop around a method does, with less of Python.

    ``step(images, target)`` is forward, backward, ``optimizer.step()``, ``zero_grad()`` and
    ``update_momentum()``. What cannot be done here is left out, and ``step.notes`` says why; then
    the step is taken as ever. Results are those of the loop up to rounding.

    Args:
        method: Of :func:`samix.create_method`, or any module that gives the loss of a batch, such
            as a plain network with its loss: so a comparison stays fair.
        optimizer: Anything with ``step`` and ``zero_grad``. Its kernels are not captured, so that
            learning rates may change; ``fused=True`` makes them few.
        clip: Largest norm of the gradient, above 0; None lets it be.
        replay: Capture steps as CUDA graphs; None where that is possible.
    """
    notes = []
    reason = compile_regions(method)
    if reason:
        notes.append(reason)
    unfit = "replay: switched off." if replay is False else why_not_replayed(method)
    if unfit:
        notes.append(unfit)
    return CompiledStep(method, optimizer, clip=clip, replays=not unfit, notes=tuple(notes))


def compile_regions(method: nn.Module) -> str:
    """Let torch.compile take over the repeated parts of a method's networks, in place.

    A part is compiled when it is first run: once for all blocks of one form, which takes less time
    than a whole network does. Weights, their names and what is exported stay as they are.

    Args:
        method: Any module; blocks are looked for in all of it.

    Returns:
        Why nothing was compiled, in a sentence; empty where it was.
    """
    if reason := why_not_compiled():
        return reason
    for region in regions(method):
        region.compile(dynamic=False)
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _RECOMPILED)
    return ""


def why_not_compiled() -> str:
    """Return why torch.compile does not work here, in a sentence; empty where it does."""
    try:
        torch.compile(torch.sin, dynamic=False)(torch.zeros(4))
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"Nothing is compiled: torch.compile does not work here ({reason})."
    return ""


def regions(network: nn.Module) -> list[nn.Module]:
    """Return the blocks that a network has several of in its rows of blocks, and its Mixers.

    Args:
        network: Any module; of one without such blocks, or of its encoder, the whole is returned.
    """
    rows = [part for part in network.modules() if isinstance(part, nn.Sequential | nn.ModuleList)]
    blocks = [block for row in rows for block in row if _has_parts(block)]
    kinds = Counter(type(block) for block in blocks)
    found = [block for block in blocks if kinds[type(block)] > 1]
    inner = {id(part) for block in found for part in block.modules() if part is not block}
    whole = getattr(network, "encoder", network)
    found = [block for block in found if id(block) not in inner] or [whole]
    return found + [part for part in network.modules() if isinstance(part, Mixer)]


def _has_parts(block: nn.Module) -> bool:
    """Say whether a module is more than a layer, and no mere row of others."""
    row = isinstance(block, nn.Sequential | nn.ModuleList)
    return not row and any(True for _ in block.children())


def why_not_replayed(method: nn.Module, device: str | None = None) -> str:
    """Return why a step cannot be captured and replayed, in a sentence; empty where it can.

    Args:
        method: On the device where it is trained.
        device: Kind of that device; None is that of the parameters.
    """
    kind = device or next((p.device.type for p in method.parameters()), "cpu")
    reason = ""
    if kind != "cuda":
        reason = f"CUDA graphs need a GPU, and the method is on '{kind}'"
    elif dist.is_available() and dist.is_initialized():
        reason = "several processes train together"
    elif isinstance(method, SupervisedMethod):
        if method.policy.name not in REPLAYED:
            reason = f"policy '{method.policy.name}' decides by numbers that would be captured"
        elif method.guard is not None or method.options.pairing != "any":
            reason = "a guard, or pairing by class, decides by what it sees in each batch"
    elif hasattr(method, "policy"):
        reason = "methods without labels keep keys whose place changes"
    return reason and f"Steps are not replayed: {reason}."


@dataclass
class _Captured:
    """One kind of step in fixed tensors."""

    batch: tuple[Tensor, ...]  # what the step reads
    draws: FixedDraws = field(default_factory=FixedDraws)
    steps: int = 0  # how many steps of this kind were done
    graph: Any = None  # repeats the forward and backward pass; None before it was captured
    output: StepOutput | None = None  # in tensors that each repetition writes anew
    # of all parameters with one
    gradients: dict[nn.Parameter, Tensor] = field(default_factory=dict)


@dataclass(eq=False, repr=False)
class CompiledStep:
    """A training step; see :func:`compile_step`.

    Attributes:
        method: What is trained.
        optimizer: With ``step`` and ``zero_grad``.
        clip: Largest norm of the gradient, or None.
        replays: Capture each kind of step and replay it.
        notes: What is not done, and why.
    """

    method: nn.Module
    optimizer: Any
    clip: float | None = None
    replays: bool = False
    notes: tuple[str, ...] = ()
    _kinds: dict[Any, _Captured] = field(default_factory=dict)

    @property
    def captured(self) -> int:
        """Number of kinds of steps that are replayed."""
        return sum(kind.graph is not None for kind in self._kinds.values())

    def __call__(self, *batch: Tensor) -> StepOutput:
        """Take one step of training; return its loss and the like, detached.

        Args:
            *batch: What the method takes, such as images and target. A batch of another shape than
                those before is another kind of step.
        """
        output = self._replayed(batch) if self.replays else self._direct(batch)
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.method.parameters(), self.clip)
        self.optimizer.step()
        if not self.replays:
            self.optimizer.zero_grad()
        if (update := getattr(self.method, "update_momentum", None)) is not None:
            update()
        return output

    def _direct(self, batch: tuple[Tensor, ...]) -> StepOutput:
        output = self.method(*batch)
        output = output if isinstance(output, StepOutput) else StepOutput(output)
        output.loss.backward()  # type: ignore[no-untyped-call]
        return replace(output, loss=output.loss.detach())

    def _replayed(self, batch: tuple[Tensor, ...]) -> StepOutput:
        """Compute the same in fixed tensors, by a graph once there is one."""
        key = self._key(batch)
        if key not in self._kinds and len(self._kinds) == _MOST_CAPTURED:
            self.optimizer.zero_grad(set_to_none=True)
            return self._direct(batch)
        kind = self._kinds.setdefault(key, _Captured(tuple(part.clone() for part in batch)))
        for fixed, given in zip(kind.batch, batch, strict=True):
            fixed.copy_(given, non_blocking=True)
        counter = getattr(self.method, "counter", None)
        if counter is not None:
            kind.draws.renew(counter.generator())
        if kind.graph is None:
            self.optimizer.zero_grad(set_to_none=True)
            with kind.draws.given():
                if kind.steps < _WARM:
                    kind.output = self._warm(kind)
                else:
                    self._capture(kind)
        elif counter is not None:
            counter.steps += 1
        if kind.graph is not None:
            for parameter, gradient in kind.gradients.items():
                parameter.grad = gradient
            kind.graph.replay()
        kind.steps += 1
        if kind.output is None:
            raise RuntimeError("step: expected an output, got none")
        # tensors that the next repetition leaves alone
        terms = {name: value.clone() for name, value in kind.output.terms.items()}
        return replace(kind.output, loss=kind.output.loss.clone(), terms=terms)

    def _key(self, batch: tuple[Tensor, ...]) -> Any:
        """Return what makes one kind of step: all that Python decides in it."""
        shapes = tuple((part.shape, part.dtype, part.stride()) for part in batch)
        method = self.method
        if not isinstance(method, SupervisedMethod):
            return shapes, method.training
        step, turn = method.counter.steps, None
        if method.policy.learns and method.counter.mixes():
            turn = method.cost.mixer_turn(step)
        likeness = turn is not None and method.policy.wants_likeness(turn)
        uses_batch = method.average is not None and method.average.uses_batch
        mixes = method.counter.mixes()
        return shapes, method.training, mixes, turn is not None, likeness, uses_batch

    def _warm(self, kind: _Captured) -> StepOutput:
        """Take a step in the fixed tensors as ever; on a GPU beside the main stream, as capture."""
        if kind.batch[0].device.type != "cuda":
            return self._direct(kind.batch)
        stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        main = torch.cuda.current_stream()
        stream.wait_stream(main)
        with torch.cuda.stream(stream):
            output = self._direct(kind.batch)
        main.wait_stream(stream)
        return output

    def _capture(self, kind: _Captured) -> None:
        with _uncached_autocast(kind.batch[0].device.type):
            kind.graph, kind.output = capture(lambda: self._direct(kind.batch), kind.batch[0])
        named = ((p, p.grad) for p in self.method.parameters())
        kind.gradients = {p: gradient for p, gradient in named if gradient is not None}


def capture(function: Callable[[], StepOutput], like: Tensor) -> tuple[Any, StepOutput]:
    """Return a CUDA graph of what a function computes on a tensor's GPU, and what it will fill."""
    graph = torch.cuda.CUDAGraph()
    mode = "thread_local"  # whatever else the process does with the device
    with torch.cuda.device(like.device), torch.cuda.graph(graph, capture_error_mode=mode):
        output = function()
    return graph, output


@contextmanager
def _uncached_autocast(device: str) -> Iterator[None]:
    """Keep the autocast that there is, but without weights that were cast before."""
    enabled = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device)
    torch.clear_autocast_cache()
    with torch.autocast(device, dtype, cache_enabled=False) if enabled else nullcontext():
        yield
