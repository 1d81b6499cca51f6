"""Starting from another run: its encoder, its Mixer and its splits; and the images of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from samix.data import (
    ImageSet,
    Splits,
    check_labels,
    check_splits,
    join_images,
    open_images,
    read_splits,
)
from samix.data.splits import read_table
from samix.data.store import kept_set
from samix.data.verifying import KEEP_NOTHING, Keep
from samix.errors import InputError
from samix.evaluation.model_file import read_model
from samix.evaluation.seen import root_of, seen_by
from samix.methods import RIVALS, SelfSupervisedMethod
from samix.networks import (
    LoadedWeights,
    built_in_mixers,
    classifier_names,
    is_pretrained_mixer,
    load_weights,
    put_weights,
    read_weights,
)
from samix.policies import POLICIES
from samix.progress import Progress

from .config import FROZEN, PretrainConfig, RunConfig, TrainConfig, whole_path
from .run_folder import MIXER, MODEL, WEIGHTS, RunFolder, open_run, read_config
from .task import Method

ARCHITECTURE = ("backbone", "model_kwargs", "stem", "image_size")
"""Settings that must be those of the run whose weights are taken."""

Config = TypeVar("Config", bound=RunConfig)


@dataclass(frozen=True)
class RunSource:
    """A run that another one starts from."""

    run: RunFolder  # its folder
    flag: str  # the option that named it, for messages
    config: RunConfig  # what it did
    model: Mapping[str, Any]  # what its model.json says

    @property
    def name(self) -> str:
        """Return the option and the folder, for messages."""
        return f"{self.flag} '{self.run.path}'"

    def weights(self, file: str) -> dict[str, Tensor]:
        """Read one of its files of weights."""
        return read_weights(self.run.path / file)


def open_source(path: str | Path, flag: str) -> RunSource:
    """Open a finished run to start from; what is no run, or has no model yet, is refused."""
    folder = RunFolder(Path(path).expanduser())
    if not folder.config.is_file():
        raise InputError(
            f"{flag} '{path}' is not a run folder (it has no config.yaml); give the `output` of an "
            "earlier 'samix pretrain' or 'samix train'"
        )
    described = folder.path / MODEL
    if not described.is_file():
        raise InputError(
            f"{flag} '{path}' has no {MODEL}: the run is not finished; finish it with resume=True"
        )
    model = read_model(described)
    run = open_run(path)
    return RunSource(run, flag, read_config(run), model)


def settings_of(source: RunSource) -> dict[str, Any]:
    """Return the settings of the network that a run starting from this one must share."""
    return {name: source.model[name] for name in ARCHITECTURE}


@dataclass(frozen=True)
class Starts:
    """The runs that another one starts from, each opened once."""

    init: RunSource | None = None  # the run whose encoder is taken
    mixer: RunSource | None = None  # the run whose Mixer is taken


def open_starts(config: RunConfig) -> Starts:
    """Open the runs that a configuration names, each as :func:`open_source` does."""
    init = config.init if isinstance(config, TrainConfig) else None
    mixer = config.mixer_from or (config.policy if _names_a_run(config.policy) else None)
    return Starts(
        None if init is None else open_source(whole_path(init), "`init`"),
        None if mixer is None else open_source(whole_path(mixer), "`policy`"),
    )


def adopt(config: Config, starts: Starts | None = None) -> Config:
    """Return the configuration with a run in ``policy`` resolved to its policy, options and tap.

    Raises:
        InputError: A run is none, its network is of another make, it has no Mixer, or an option
            contradicts it.
    """
    starts = open_starts(config) if starts is None else starts
    if isinstance(config, TrainConfig) and config.init is not None and starts.init is not None:
        config = replace(config, init=whole_path(config.init))
        check_architecture(starts.init, config)
    if config.weights is not None:
        config = replace(config, weights=whole_path(config.weights))
    if config.policy == "samix-p":
        mixer = config.policy_options.get("mixer")
        if isinstance(mixer, str) and mixer not in built_in_mixers():
            options = {**config.policy_options, "mixer": whole_path(mixer)}
            config = replace(config, policy_options=options)
    elif is_pretrained_mixer(config.policy):
        config = replace(config, policy=whole_path(config.policy))
    elif starts.mixer is not None and _names_a_run(config.policy):
        config = _with_mixer(config, starts.mixer)
    if config.freeze_mixer and config.mixer_from is None:
        raise InputError(
            f"freeze_mixer needs a trained Mixer, got policy={config.policy}; give the run "
            "that has it as policy=RUN"
        )
    return config


def start(method: Method, config: RunConfig, starts: Starts) -> tuple[str, ...]:
    """Give a fresh method and its averages the weights that are named; return what to tell."""
    notes: tuple[str, ...] = ()
    if starts.init is not None:
        load_encoder(starts.init, method.encoder)
    if config.weights is not None:
        notes = (load_named(method.encoder, config).sentence,)
    if method.average is not None and (notes or starts.init is not None):
        own = method.network if isinstance(method, SelfSupervisedMethod) else method.encoder
        method.average.begin_as(own)
    if starts.mixer is not None:
        load_mixer(starts.mixer, method)
    return notes


def load_named(network: nn.Module, config: RunConfig) -> LoadedWeights:
    """Load the named weights into a network, in place; refuse those of another, or none."""
    named = config.weights
    if named is None:
        raise InputError("weights: expected a file or a name, got None")
    return load_weights(network, named, backbone=config.backbone, small_stem=config.stem == "small")


def freeze(method: Method, config: RunConfig) -> None:
    """Keep the Mixer as it is where the configuration says so."""
    if config.freeze_mixer:
        method.policy.requires_grad_(False).eval()


def check_architecture(source: RunSource, config: RunConfig) -> None:
    """Refuse a run whose network is of another make."""
    for name in ARCHITECTURE:
        theirs, ours = source.model[name], getattr(config, name)
        if json.loads(json.dumps(dict(ours) if isinstance(ours, Mapping) else ours)) != theirs:
            raise InputError(
                f"{source.name} has {name}={theirs}, got {ours}; leave `{name}` out to take that "
                "of the run"
            )


def load_encoder(source: RunSource, encoder: nn.Module) -> None:
    """Load the weights of a run's network but the classifier; other names or shapes are refused."""
    heads = tuple(f"{name}." for name in classifier_names(encoder))
    taken = {k: v for k, v in source.weights(WEIGHTS).items() if not k.startswith(heads)}
    put_weights(encoder, taken, source.name)


def source_splits(source: RunSource, config: RunConfig, images: ImageSet) -> Splits | None:
    """Return the splits of the encoder's run; None where it had other photos, or none to test.

    Photos whose labels that run did not use are in train again.

    Raises:
        InputError: ``group_by`` differs, or a class is missing in a part.
    """
    learned = {row["path"] for row in read_table(source.run.splits, ("path",))}
    if data_of(source.config) != (config.data,) or learned != set(images.keys):
        return None
    if config.group_by is not None and config.group_by != source.config.group_by:
        raise InputError(
            f"group_by='{config.group_by}' contradicts {source.name}, whose splits are used so "
            "that no test photo was seen before; leave it out, or pre-train with it"
        )
    splits = read_splits(source.run.splits, images)
    if not splits.test:  # a final model has learned from all of them
        return None
    kept = {*splits.val, *splits.test}
    splits = replace(splits, train=tuple(i for i in range(len(images)) if i not in kept))
    check_splits(images, splits)
    return splits


def split_note(source: RunSource, config: RunConfig, images: ImageSet, splits: Splits) -> str:
    """Return a sentence where the split is that of the encoder's run: is the test new to it?"""
    seen = seen_by(source.run.path, images, data_of(config))
    doubtful = seen.of(splits.test) or seen.gone
    new = "" if doubtful else ", so that no test photo was learned from before"
    note = (
        f"The split is that of '{source.run.path}'{new}; val_fraction and test_fraction do not "
        "count."
    )
    return f"{note} {seen.sentence(splits.test)}" if doubtful else note


def mixer_notes(
    starts: Starts, config: RunConfig, images: ImageSet, splits: Splits
) -> tuple[str, ...]:
    """Return what to tell about a Mixer that comes from another run than the encoder."""
    source = starts.mixer
    if source is None:
        return ()
    notes = []
    if not isinstance(config, TrainConfig) and source.model["kind"] == "classifier":
        notes.append(f"The Mixer of '{source.run.path}' was trained with labels.")
    init = starts.init
    same = init is not None and init.run.path.resolve() == source.run.path.resolve()
    if splits.test and not same:
        notes.append(seen_by(source.run.path, images, data_of(config)).sentence(splits.test))
    return tuple(notes)


def look_notes(source: RunSource) -> tuple[str, ...]:
    """Return what to tell about how the encoder that a run starts from has seen photos."""
    if not source.model.get("standardise"):
        return ()
    return (
        f"The encoder of '{source.run.path}' learned from photos standardised one by one; here "
        "they are normalised as a whole set, which it sees a little differently.",
    )


def _names_a_run(policy: str) -> bool:
    """Say whether a policy is the folder of a run, neither a name nor a pre-trained Mixer."""
    if policy in {*POLICIES, *RIVALS, FROZEN} or is_pretrained_mixer(policy):
        return False
    return Path(policy).expanduser().exists() or "/" in policy


def _with_mixer(config: Config, source: RunSource) -> Config:
    mixer = source.model.get("mixer")
    if mixer is None:
        raise InputError(
            f"{source.name} has no Mixer: it mixed with '{source.model['policy']}'; give a run of "
            "'samix', or the name of a policy"
        )
    if config.tap is not None and config.tap != mixer["tap"]:
        raise InputError(
            f"tap={config.tap} contradicts {source.name}, whose Mixer reads tap {mixer['tap']}; "
            "leave it out"
        )
    given = dict(config.policy_options)
    form = {**mixer["options"], **(given.pop("mixer", None) or {})}
    if form != mixer["options"]:
        changed = next(name for name in form if form[name] != mixer["options"].get(name))
        raise InputError(
            f"policy_options mixer.{changed} {form[changed]} contradicts the Mixer of "
            f"{source.name}; leave it out"
        )
    return replace(
        config,
        policy=source.model["policy"],
        policy_options={"alpha": mixer["alpha"], **given, "mixer": form},
        tap=mixer["tap"],
        mixer_from=str(source.run.path.resolve()),
    )


def load_mixer(source: RunSource, method: Method) -> None:
    """Load the weights of a run's Mixer; one of another width or form is refused."""
    policy = method.policy
    if not policy.traits.learned:
        raise InputError(f"{source.name} gives a Mixer, but '{policy.name}' has none")
    channels = source.model["mixer"]["channels"]
    if policy.mixer.channels != channels:
        raise InputError(
            f"{source.name} has a Mixer for {channels} channels, but the network has "
            f"{policy.mixer.channels} where it reads; take the `backbone` of that run"
        )
    try:
        policy.mixer.load_state_dict(source.weights(MIXER))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"the Mixer of {source.name} has another form ({reason})") from error


def data_of(config: RunConfig) -> tuple[str, ...]:
    """Return what names the photos of a run, one word a set."""
    more = config.more_data if isinstance(config, PretrainConfig) else ()
    return (config.data, *more)


def open_sources(
    config: RunConfig, *, progress: Progress | None = None, keep: Keep = KEEP_NOTHING
) -> tuple[tuple[str, ImageSet], ...]:
    """Open the sets of photos of a run, each once, with the folder of its keys."""
    named = data_of(config)
    twice = next((data for data in named if named.count(data) > 1), None)
    if twice is not None:
        raise InputError(f"DATA '{twice}' is given twice; name each set once")
    options: dict[str, Any] = {
        "skip_corrupt": config.skip_corrupt,
        "max_megapixels": config.max_megapixels,
        "root": config.data_root,
        "download": config.download,
        "labels": config.labels,
        "label_column": config.label_column,
    }

    labelled = isinstance(config, TrainConfig)

    def opened(data: str) -> ImageSet:
        images = kept_set(
            (data, *options.values()),
            lambda: open_images(
                data, need_labels=labelled, **options, progress=progress, keep=keep
            ),
        )
        if labelled:  # it may have been opened before for training without labels
            check_labels(images)
        return images

    return tuple((root_of(data), opened(data)) for data in named)


def joined(sources: Sequence[tuple[str, ImageSet]]) -> ImageSet:
    """Return one set: several have keys with their folder, each photo once, and no classes."""
    if len(sources) == 1:
        return sources[0][1]
    try:
        return join_images(sources)
    except ValueError as error:
        raise InputError(f"the sets of DATA overlap ({error}); name each photo once") from error
