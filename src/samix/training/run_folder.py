"""The run folder: where everything that a run did is written down, its model included."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from samix._version import __version__
from samix.data import ImageSet, Splits
from samix.data.beginning import PHOTOS
from samix.data.depth import Depth
from samix.errors import InputError
from samix.files import file_word, free_path, sweep, whole_file, write_text
from samix.methods import SelfSupervisedMethod, SupervisedMethod
from samix.options import from_plain
from samix.plain_yaml import dump_yaml, read_yaml
from samix.shown import NameWriter

from .config import CONFIGS, RunConfig
from .lock import is_half_made, only_process

_WRITABLE = ".writable"  # is written and removed to see whether that can be done
_GONE = ("control", "control_margin")  # settings of earlier versions
_PACKAGES = ("samix", "torch", "torchvision", "timm", "lightning", "torchmetrics", "numpy")
PREDICTIONS = "predictions.csv"
MODEL = "model.json"
WEIGHTS = "model.safetensors"
AVERAGE = "model_average.safetensors"
MIXER = "mixer.safetensors"


class _Within:
    """A file of a run, below its folder."""

    def __init__(self, *parts: str) -> None:
        self.parts = parts

    def __get__(self, run: RunFolder, kind: type[RunFolder]) -> Path:
        return run.path.joinpath(*self.parts)


@dataclass(frozen=True)
class RunFolder:
    """The files of a run, which are in the folder ``path``."""

    path: Path
    config = _Within("config.yaml")  # resolved configuration, versions, seed and command
    splits = _Within("splits.csv")  # part and group of each photo
    photos = _Within(PHOTOS)  # label and content of each photo
    history = _Within("history.csv")  # one row an epoch
    metrics = _Within("metrics.json")  # what the run reached
    probe = _Within("probe.json")  # what the classifier began as, where that is a linear head
    mixes = _Within("mixes.png")  # picture of eight pairs
    page = _Within("run.html")  # what the run reached, its mixes, and what a guard did to them
    last = _Within("checkpoints", "last.ckpt")
    best = _Within("checkpoints", "best.ckpt")  # that validation chose


def free_output(config: RunConfig) -> Path:
    """Return the folder that the run will use, which does not exist yet.

    Raises:
        InputError: The given folder exists with something in it, or is a file. A folder whose
            making was cut off is taken as an empty one.
    """
    if config.output is None:
        word = file_word(Path(config.data).name) or "data"
        return free_path(Path("runs"), "-".join((word, *config.name_parts)))
    path = Path(config.output).expanduser()
    if path.exists() and not is_unbegun(path):
        raise InputError(
            f"run folder '{path}' exists already; choose another `output`, or go on with `resume`"
        )
    return path


def is_unbegun(path: Path) -> bool:
    """Say whether a folder holds nothing of a run, but perhaps what was made before it began."""
    run = RunFolder(path)
    names = frozenset({run.last.parent.name, run.splits.name, PHOTOS, _WRITABLE})
    return is_half_made(path, run.config, names) and not any(run.last.parent.glob("*.ckpt"))


@contextmanager
def created_run(path: Path) -> Iterator[RunFolder]:
    """Create the run folder for this process alone, or refuse one that another has or cannot be."""
    run = RunFolder(path)
    with _told(path):
        path.mkdir(parents=True, exist_ok=True)
    with only_run(run):
        if run.config.exists():
            raise InputError(
                f"run folder '{path}' exists already; choose another `output`, or go on with "
                "`resume`"
            )
        with _told(path):
            run.last.parent.mkdir(exist_ok=True)
            write_text(run.path / _WRITABLE, "")
            (run.path / _WRITABLE).unlink()
        yield run


@contextmanager
def only_run(run: RunFolder) -> Iterator[None]:
    """Keep other processes from a run, and sweep up what one that was killed left."""
    with ExitStack() as stack:
        with _told(run.path):
            stack.enter_context(only_process(run.path, "run"))
            sweep(run.path)
            sweep(run.last.parent)
        yield


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say of a run folder that it cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"run folder '{path}' cannot be written ({error.strerror}); choose another `output`"
        ) from error


def open_run(path: str | Path) -> RunFolder:
    """Return an existing run folder; what is none is refused."""
    run = RunFolder(Path(path).expanduser())
    if is_unbegun(run.path):
        raise InputError(
            f"the run in '{path}' was stopped before it had begun; start it with the same command "
            "without `resume`, or with everything that it was started with"
        )
    if not run.config.is_file():
        raise InputError(
            f"'{path}' is not a run folder (it has no config.yaml); give the `output` of an "
            "earlier run, or leave `resume` out"
        )
    return run


def write_config(
    run: RunFolder, config: RunConfig, images: ImageSet, notes: Sequence[str] = ()
) -> None:
    """Write the resolved configuration with what is needed to repeat the run."""
    content = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
        },
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "classes": list(images.classes),
        "kind": config.command,
        "notes": list(notes),
        "config": config.to_dict(),
    }
    write_text(run.config, dump_yaml(content))


def read_config(run: RunFolder) -> RunConfig:
    """Read the configuration of a run; a file that is not one of ours is refused."""
    try:
        content = read_yaml(run.config)
        settings = {k: v for k, v in content["config"].items() if k not in _GONE}
        # runs before samix pretrain did not say what they were
        return from_plain(settings, CONFIGS[content.get("kind", "train")])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"'{run.config}' cannot be read ({error}); start a new run") from error


def read_notes(run: RunFolder) -> tuple[str, ...]:
    """Return what the user was told when a run began; its configuration must be readable."""
    notes = read_yaml(run.config).get("notes") or ()
    return tuple(map(str, notes)) if isinstance(notes, list) else ()


def write_history(run: RunFolder, rows: Sequence[Mapping[str, float]]) -> None:
    """Write one row an epoch; all rows at once, so that none can be there twice."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {k: v if isinstance(v, int) else f"{v:.6g}" for k, v in row.items()} for row in rows
    )
    write_text(run.history, text.getvalue())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file of plain values; a number that is not finite becomes null.

    Broken letters of file names are written as JSON escapes them.
    """
    text = json.dumps(_finite(content), indent=2, ensure_ascii=False)
    write_text(path, f"{text}\n", errors="backslashreplace")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"


def write_predictions(
    path: Path, images: ImageSet, splits: Splits, probabilities: Mapping[str, Tensor]
) -> None:
    """Write one row a photo: path, split, group, target, predicted, and p_CLASS for each class.

    Probabilities are by part, (N,K) of its photos in their order, each row with sum 1.
    """
    text = io.StringIO()
    writer = NameWriter(text)
    classes = images.classes
    writer.writerow(
        ("path", "split", "group", "target", "predicted", *(f"p_{name}" for name in classes))
    )
    for part, rows in probabilities.items():
        positions: tuple[int, ...] = getattr(splits, part)
        for i, row in zip(positions, rows.double().tolist(), strict=True):
            said = classes[max(range(len(row)), key=row.__getitem__)]
            group = splits.groups[i] or images.keys[i]
            numbers = (f"{value:.6g}" for value in row)
            writer.writerow(
                (images.keys[i], part, group, classes[images.targets[i]], said), numbers
            )
    write_text(path, text.getvalue(), errors="surrogateescape")


def write_model(
    path: Path, method: SupervisedMethod | SelfSupervisedMethod, config: RunConfig, **about: Any
) -> None:
    """Write the trained network of a run, its average and its Mixer, each where there is one."""
    if method.average is not None:
        _write_weights(path / AVERAGE, method.export(average=True).state_dict())
    policy = method.policy
    mixer = None
    if policy.traits.learned:
        _write_weights(path / MIXER, policy.mixer.state_dict())
        mixer = {
            "channels": policy.mixer.channels,
            "tap": None if method.tap is None else method.tap.index,
            "options": asdict(policy.mixer.options),
            "alpha": policy.alpha,
        }
    write_network(path, method.export(), config, mixer=mixer, **about)


def write_network(
    path: Path,
    network: nn.Module,
    config: RunConfig,
    *,
    classes: Sequence[str] | None,
    mean: Sequence[float],
    std: Sequence[float],
    name: str = "supervised",
    standardise: bool = False,
    depth: Depth | None = None,
    mixer: Mapping[str, Any] | None = None,
) -> None:
    """Write a trained network and what describes it.

    The weights are a plain timm state dict. ``model.json`` comes last, so that it only stands
    beside weights that it describes; each file appears as a whole or not at all.
    """
    _write_weights(path / WEIGHTS, network.state_dict())
    content = {
        "samix": __version__,
        "kind": "embedding" if classes is None else "classifier",
        "backbone": config.backbone,
        "model_kwargs": dict(config.model_kwargs),
        "stem": config.stem,
        "image_size": config.image_size,
        "num_classes": 0 if classes is None else len(classes),
        "classes": None if classes is None else list(classes),
        "mean": [float(value) for value in mean],
        "std": [float(value) for value in std],
        "standardise": standardise,
        "depth": None if depth is None else depth.record(),
        "method": name,
        "policy": config.policy,
        **({} if mixer is None else {"mixer": dict(mixer)}),
    }
    write_json(path / MODEL, content)


def _write_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, on the CPU, each with memory of its own."""
    tensors = {k: v.detach().cpu().clone().contiguous() for k, v in state.items()}
    with whole_file(path) as partial:
        save_file(tensors, partial, metadata={"format": "pt"})
