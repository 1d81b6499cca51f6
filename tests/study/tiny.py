"""A study of seconds, written as samix poc writes it, without timing anything."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from samix.data import write_splits
from samix.study.cells import PocFolder, write_study
from samix.study.plan import Opened, Wish, label_count, open_study
from samix.study.statistics.looks import shares_of

DATA = "demo:photos_per_class=20,size=16"
NETWORK: dict[str, Any] = {
    "backbone": "resnet18", "model_kwargs": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]},
    "stem": "small", "image_size": 16, "batch_size": 48, "device": "cpu",
}  # fmt: skip


class Here:
    """An engine that calls at once, in this process."""

    workers = 1
    died = (BrokenProcessPool,)

    def submit(self, call: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(call(*arguments))
        except BaseException as error:  # as a pool passes it on
            future.set_exception(error)
        return future

    def renew(self) -> bool:
        raise AssertionError("nothing dies here")


def opened(**changes: Any) -> Opened:
    """The photos of the tiny study."""
    return open_study(Wish(data=DATA, network=NETWORK, **changes), lambda *_: None)


def tiny_study(path: Path, *, policies: tuple[str, ...] = ("none", "none-long", "samix"),
               seeds: tuple[int, ...] = (0, 1), modes: tuple[str, ...] = ("supervised",),
               epochs: int = 4, looks: bool = False) -> dict[str, Any]:  # fmt: skip
    """Write the folder of a study with two label budgets, of which nothing is trained.

    With looks it may stop after three seeds or a further one.
    """
    photos = opened()
    images, splits = photos.images, photos.splits
    shares = [0.5, 1.0]
    labels = [label_count(images, splits, share)[0] for share in shares]
    study = {
        "version": 1,
        "data": {
            "source": DATA, "name": images.name, "classes": list(images.classes),
            "photos": {side: len(getattr(splits, side)) for side in ("train", "val", "test")},
            "parts": {side: photos.parts(getattr(splits, side)) for side in ("train", "test")},
            "image_size": 16, "good": [], "notes": [],
        },
        "plan": {
            "policies": {mode: list(policies) for mode in modes}, "modes": list(modes),
            "labels": labels, "fractions": shares, "seeds": list(seeds),
            "steps": {str(n): 4 for n in labels}, "epochs": {str(n): epochs for n in labels},
            "pretrain_epochs": epochs, "pretrain_steps": 4,
            "long": {mode: {"none-long": 1.5} for mode in modes}, "long_labels": labels[-1:],
            "options": {"samix": {"alpha": 2.0}},
            "primary": {"mode": modes[0], "labels": labels[-1]}, "timings": {}, "workers": 2,
            "budget_seconds": 600.0, "smallest_difference": 10.0, "weak_classes": {},
            "left_out": [], "not_planned": [], "expected_seconds": 60,
        },
        "train": photos.train,
        "pretrain": {**photos.pretrain, "batch_size": 24, "method_options": {"queue_size": 64}},
        "prices": {}, "command": "samix poc", "versions": {}, "machine": "", "started": "",
    }  # fmt: skip
    if looks:
        study["data"]["test_parts"] = {"good": 4}
        study["plan"] |= {
            "looks": {str(n): share for n, share in shares_of(len(seeds)).items()},
            "measure": "accuracy", "smallest_difference": 1.0, "subjects": ["samix"],
        }  # fmt: skip
    path.mkdir(parents=True)
    write_splits(PocFolder(path).splits, images, splits)
    write_study(PocFolder(path), study)
    return study
