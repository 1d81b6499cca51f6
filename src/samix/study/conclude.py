"""The end of a study: findings, pictures and report, and the final model that follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samix.data import ImageSet, Splits, open_images, read_splits
from samix.data.beginning import check_photos
from samix.errors import InputError
from samix.evaluation.model_file import read_model
from samix.files import MAX_MEGAPIXELS
from samix.pages.words import Words, both, word
from samix.plain_json import read_json
from samix.progress import Announce
from samix.study.cells import PocFolder, collect, read_study, write_table
from samix.study.findings import find
from samix.study.grid import LOOKS, SELF_SUPERVISED, Job, jobs_of, with_mixing
from samix.study.overall import free_choice
from samix.study.report.health import data_health
from samix.study.report.page import write_poc_report
from samix.study.report.pictures import draw_pictures
from samix.study.statistics.trained import AGAIN, VERSION
from samix.study.wish import names_weights
from samix.study.wording import interval_words, policy_words
from samix.training.config import FROZEN
from samix.training.run_folder import MODEL, write_json


def write_tables(folder: PocFolder, study: Mapping[str, Any]) -> dict[str, int]:
    """Write the tables of all cells; return how many finished, failed and are missing."""
    outcomes, cells = collect(folder, study)
    if len(outcomes):
        write_table(folder.outcomes, outcomes)
    write_table(folder.cells, cells)
    return {
        status: int((cells["status"] == status).sum())
        for status in ("finished", "failed", "missing")
    }


def found_so_far(folder: PocFolder, study: Mapping[str, Any]) -> dict[str, Any]:
    """Return what findings.json would hold now."""
    return find(
        *collect(folder, study), good=study["data"]["good"], prices=study.get("prices") or {},
        plan=study["plan"], data=study["data"],
    )  # fmt: skip


def open_photos(folder: PocFolder, study: Mapping[str, Any]) -> tuple[ImageSet, Splits]:
    """Open the photos of a study again; InputError where they are others."""
    train = study["train"]
    images = open_images(
        train["data"],
        skip_corrupt=train.get("skip_corrupt", False),
        max_megapixels=train.get("max_megapixels", MAX_MEGAPIXELS),
        root=train.get("data_root"),
        labels=train.get("labels"),
        label_column=train.get("label_column"),
    )
    splits = read_splits(folder.splits, images)
    check_photos(folder.photos, images, splits, f"study '{folder.path}'")
    return images, splits


def conclude(
    folder: PocFolder,
    study: Mapping[str, Any],
    announce: Announce,
    *,
    lang: str = "both",
    photos: tuple[ImageSet, Splits] | None = None,
    shown: bool = True,
) -> dict[str, Any]:
    """Judge the finished trainings; write findings, pictures and report; return the findings."""
    findings = found_so_far(folder, study)
    write_json(folder.findings, findings)
    images, splits = photos or open_photos(folder, study)
    if not folder.health.is_file():
        write_json(folder.health, data_health(images, splits, announce=announce))
    pictures = _pictures(folder, study, findings, announce) if shown else ()
    write_poc_report(
        folder.report, findings, study=study, health=_health(folder), pictures=pictures, lang=lang
    )
    return findings


def _pictures(
    folder: PocFolder, study: Mapping[str, Any], findings: Mapping[str, Any], announce: Announce
) -> Sequence[Mapping[str, Any]]:
    """Draw what the networks of a study saw, and photos that they got wrong."""
    announce("drawing pictures", 0, 1)
    train = study["train"]
    pictures = draw_pictures(
        folder.path, policy=findings["verdict"]["policy"], wrong=findings["wrong"],
        data=train["data"],
        root=train.get("data_root"), skip_corrupt=train.get("skip_corrupt", False),
        max_megapixels=train.get("max_megapixels"),
    )  # fmt: skip
    announce("drawing pictures", 1, 1)
    return pictures


def _health(folder: PocFolder) -> dict[str, Any]:
    try:
        return read_json(folder.health)
    except (OSError, ValueError) as error:
        raise InputError(
            f"'{folder.health}' cannot be read ({error}); remove it to look at the photos again"
        ) from error


_RECOMMENDED = ("adopt", "adopt-light", "use-simple")
_OTHERWISE = ("mixer-not-alive", "do-not-adopt", "not-proven")
_BASELINE = "none"
_FROM_TRAINED = 0.1  # of the learning rate: weights that are good already are changed slowly
_BUDGET = ("label_fraction", "labels_per_class")  # a final model learns from all labels


@dataclass(frozen=True)
class Final:
    """The training that a study leads to."""

    name: str  # of the photos
    policy: str  # what is trained, as the study calls it, such as "mixup-long"
    settings: Mapping[str, Any]  # fields of :class:`samix.training.TrainConfig`
    verdict: Words  # what the study says, in a sentence
    follows: Words  # what follows from it, in a sentence
    tested: Words  # what the study measured of such a training, in a sentence


def final_of(path: str | Path) -> Final:
    """Return the training that follows from the verdict of a study.

    It learns from the train and the test photos of the study; its validation photos still choose
    the weights. A policy that is recommended is trained as in its largest cell. Where none is, the
    free policy is taken that is proven ahead of plain training by most, and else plain training;
    see :func:`free_choice`. After self-supervised learning it starts from the study's pre-training
    of the first seed, at a tenth of the learning rate.
    """
    folder = PocFolder(Path(path).expanduser().absolute())
    study, findings = read_study(path), _read_findings(folder, path)
    try:
        return _final(folder, study, findings)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"'{folder.findings}' does not hold what a study finds ({error!r}). {AGAIN}"
        ) from error


def _final(folder: PocFolder, study: Mapping[str, Any], findings: Mapping[str, Any]) -> Final:
    verdict = findings["verdict"]
    kind = verdict["kind"]
    if kind not in (*_RECOMMENDED, *_OTHERWISE):
        raise InputError(f"'{folder.findings}' has the unknown verdict '{kind}'. {AGAIN}")
    recommended = kind in _RECOMMENDED
    mode = str(verdict["mode"])
    policy = str(verdict["policy"]) if recommended else free_choice(findings["policies"], mode)
    job = _largest(study, policy, mode, folder)
    common = _after_pretraining(study, folder, job) if mode == SELF_SUPERVISED else job.settings
    settings = {name: value for name, value in common.items() if name not in _BUDGET}
    if settings["policy"] == _BASELINE:
        settings.pop("guard", None)  # there are no mixes to check
    return Final(
        name=str(study["data"]["name"]),
        policy=policy,
        settings={**settings, "splits": str(folder.splits), "shrink_batch": True, "final": True},
        verdict=both(verdict["sentence"]),
        follows=_follows(recommended, policy, settings),
        tested=_tested(findings, policy, mode, job),
    )


def _read_findings(folder: PocFolder, named: str | Path) -> dict[str, Any]:
    if not folder.findings.is_file():
        raise InputError(
            f"'{named}' has no {folder.findings.name}: the study is not finished; go on with samix "
            f"poc resume=True output={named}"
        )
    try:
        findings = read_json(folder.findings)
        version = findings["version"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"'{folder.findings}' cannot be read ({error})") from error
    if version != VERSION:
        raise InputError(
            f"'{folder.findings}' has version {version!r:.40}, expected {VERSION}. {AGAIN}"
        )
    return findings


def _largest(study: Mapping[str, Any], policy: str, mode: str, folder: PocFolder) -> Job:
    found = [
        job for job in jobs_of(study)
        if (job.cells[0].policy, job.cells[0].mode) == (policy, mode)
    ]  # fmt: skip
    if not found:
        raise InputError(
            f"the plan in '{folder.study}' has no {mode} training of '{policy}', which the verdict "
            f"names. {AGAIN}"
        )
    return max(found, key=lambda job: (max(cell.labels for cell in job.cells), -job.seed))


def _after_pretraining(study: Mapping[str, Any], folder: PocFolder, job: Job) -> dict[str, Any]:
    run = folder.path / job.folder
    if not (run / MODEL).is_file():
        raise InputError(
            f"'{run}' has no {MODEL}: the pre-training that the final model starts from is not "
            f"there; train it with samix poc resume=True output={folder.path}"
        )
    plan, train = study["plan"], dict(study["train"])
    if not names_weights(train):  # a recipe for trained weights changes them slowly already
        for name in ("lr", "mixer_lr"):
            if train.get(name) is not None:
                train[name] *= _FROM_TRAINED
    for name in ("weights", "pretrained"):
        train.pop(name, None)
    model = read_model(run / MODEL)
    settings = with_mixing(train, job.cells[0].policy, plan)
    epochs = int(plan["epochs"][str(max(plan["labels"]))])
    if settings["policy"] == "samix" and model.get("mixer") is not None:
        # its Mixer too, with its form and its alpha
        settings |= {"policy": str(run), "policy_options": {}}
    return {
        **settings, "init": str(run), "epochs": epochs,
        "validate_every": math.ceil(epochs / LOOKS), "seed": job.seed,
    }  # fmt: skip


def _follows(recommended: bool, policy: str, settings: Mapping[str, Any]) -> Words:
    if policy == FROZEN:
        return word("final-frozen")
    how = word("final-how", epochs=settings["epochs"])
    if "init" in settings:
        how = word("final-start", how=how, run=str(settings["init"]))
    if recommended:
        key = "final-recommended"
    else:
        key = "final-plain" if policy == _BASELINE else "final-free"
    return word(key, how=how, policy=policy_words(policy))


def _tested(findings: Mapping[str, Any], policy: str, mode: str, job: Job) -> Words:
    labels = max(cell.labels for cell in job.cells)
    row = next(
        (one for one in findings["policies"]
         if (one["policy"], one["mode"], one["labels"]) == (policy, mode, labels)), None,
    )  # fmt: skip
    if row is None or row["score"] is None:
        return word("final-no-figure", policy=policy_words(policy), labels=labels)
    score = both(f"{row['score']:.1%}")
    if row["low"] is not None and row["high"] is not None:
        score = (
            score + both(" (") + interval_words(100 * row["low"], 100 * row["high"], ".1f") + ")"
        )
    measure = word(f"measure-{findings['data']['measure']}")
    seeds = word("seed-count-one" if row["seeds"] == 1 else "seed-count", count=row["seeds"])
    return word(
        "final-tested-probe" if mode == SELF_SUPERVISED else "final-tested",
        policy=policy_words(policy), score=score, measure=measure, labels=labels, seeds=seeds,
    )  # fmt: skip
