"""Taking the Mixer of a finished run out of it, with the encoder that fed it, as one folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch

from samix._version import __version__
from samix.data.splits import read_table
from samix.errors import InputError
from samix.evaluation.seen import root_of
from samix.networks import PretrainedMixer, Tap, pretrained_mixer, put_weights
from samix.networks.described import create_described, described_mixer
from samix.plain_json import read_json

from .config import PretrainConfig
from .run_folder import AVERAGE, MIXER
from .task import LEAST_CORRELATION, LEAST_DEVIATION
from .warm_start import ARCHITECTURE, RunSource, data_of, open_source

_METHODS = {"moco": "MoCo v2", "simclr": "SimCLR", "byol": "BYOL", "mocov3": "MoCo v3"}
_SHOWN_OF_LIFE = ("mask_deviation", "exchange_correlation", "partner_change")


def mixer_of_run(path: str | Path, *, licence: str | None = None) -> PretrainedMixer:
    """Return the Mixer of a finished run with the momentum average that it read, frozen."""
    source = open_source(path, "RUN")
    made = source.model.get("mixer")
    if made is None:
        raise InputError(
            f"{source.name} has no Mixer: it mixed with '{source.model['policy']}'; give a run of "
            "'samix'"
        )
    metrics = _metrics(source)
    make = {name: source.model[name] for name in ARCHITECTURE}
    try:
        encoder = create_described(make, num_classes=0, weights=source.run.path / AVERAGE)
        mixer = described_mixer(made["channels"], made["options"], source.run.path / MIXER)
    except ValueError as error:
        raise InputError(f"{source.name} cannot be used: {error}; train it again") from error
    file = source.run.path / AVERAGE
    put_weights(encoder, source.weights(AVERAGE), f"'{file}'", whole=True)
    try:
        mixer.load_state_dict(source.weights(MIXER))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"the Mixer of {source.name} has another form ({reason})") from error
    try:
        found = _record(source, metrics)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"'{source.run.metrics}' does not hold what a run writes ({error!r}); train it again"
        ) from error
    record = {**found, **({} if licence is None else {"licence": licence})}
    tap = Tap(made["tap"], made["channels"])
    resolution = source.config.image_size
    return pretrained_mixer(encoder, mixer, tap, make=make, resolution=resolution, record=record)


def mixer_remarks(mixer: PretrainedMixer) -> tuple[str, ...]:
    """Return what the user should know about the Mixer of a run, as its card says it too."""
    return tuple(mixer.record.get("remarks", ()))


def _metrics(source: RunSource) -> dict[str, Any]:
    file = source.run.metrics
    try:
        metrics = read_json(file)
    except (OSError, ValueError) as error:
        raise InputError(f"'{file}' cannot be read ({type(error).__name__}); resume it") from error
    if metrics.get("status") != "finished":
        raise InputError(
            f"{source.name} is not finished; finish it with: samix {source.config.command} "
            f"resume=True output={source.run.path}"
        )
    return metrics


def _record(source: RunSource, metrics: dict[str, Any]) -> dict[str, Any]:
    config, life = source.config, metrics["mixer"]["at_end"]
    epochs, steps = metrics["epochs"]["done"], metrics["cost"]["steps"]
    unlabelled = isinstance(config, PretrainConfig)
    side = config.view_size if isinstance(config, PretrainConfig) else None
    views = "" if side in (None, config.image_size) else f", views of {side} px"
    return {
        "data": list(_data(source)),
        "labels": "none"
        if unlabelled
        else f"of all photos learned from ({source.model['num_classes']} classes)",
        "objective": _objective(source),
        "length": (
            f"{epochs} {'epoch' if epochs == 1 else 'epochs'}, {steps:,} steps of "
            f"{config.batch_size} photos{views}"
        ),
        "alpha": source.model["mixer"]["alpha"],
        "seeds": [config.seed],
        "made_with": {
            "samix": __version__,
            "torch": str(torch.__version__),
            "timm": str(timm.__version__),
        },
        "life": {name: round(life[name], 4) for name in _SHOWN_OF_LIFE},
        "remarks": list(_remarks(source, metrics)),
    }


def _data(source: RunSource) -> Iterator[str]:
    """Yield what was learned from, one sentence a set; paths of the machine are left out."""
    rows = read_table(source.run.splits, ("path", "split"))
    named = data_of(source.config)
    for data in named:
        root = root_of(data)
        own = [r for r in rows if len(named) == 1 or r["path"].startswith(f"{root}/")]
        count = Counter(row["split"] for row in own)
        yield (
            f"{_name(data)}: {count['train']:,} photos learned from, {count['val']:,} held out, "
            f"{count['test']:,} set aside"
        )


def _name(data: str) -> str:
    """Return what a set is called, without the folders that it lies in."""
    if data.startswith("demo"):
        return data
    path = Path(data)
    return f"{path.parent.name}/{path.name}" if path.is_file() else path.name


def _objective(source: RunSource) -> str:
    config = source.config
    if not isinstance(config, PretrainConfig):
        return f"SAMix, supervised: local + {config.eta:g} * global term"
    grouped = config.method_options.get("mixer_candidates") == "clusters"
    terms = "local term" if config.method == "byol" and not grouped else (
        f"local + {config.eta:g} * global term"
    )  # fmt: skip
    return f"SAMix-{'C' if grouped else 'I'} on {_METHODS[config.method]}: {terms}"


def _remarks(source: RunSource, metrics: dict[str, Any]) -> Iterator[str]:
    if not metrics["mixer"]["alive_at_end"]:
        yield (
            "It is not alive: its masks vary by less than "
            f"{LEAST_DEVIATION:g}, or their areas follow lam by less than {LEAST_CORRELATION:g}."
        )
    if not source.model.get("standardise"):
        yield (
            "Its encoder learned from photos normalised as a whole set; here each photo is "
            "standardised by itself, which it sees a little differently."
        )
