"""Trainings of a study: what is written, what fails, what is killed."""

from __future__ import annotations

import errno
import os
import random
import select
import signal
import subprocess
import sys
import time
import types
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from samix.errors import InputError
from samix.study import cells as cells_module
from samix.study.cells import (
    Ended,
    PocFolder,
    StudyStoppedError,
    collect,
    read_cell,
    read_study,
    read_table,
    run_job,
)
from samix.study.conclude import write_tables
from samix.study.engine import open_engine, run_jobs
from samix.study.grid import cells_of, jobs_of

from .tiny import Here, tiny_study

KILLS = 10
_TIMES = ["seconds", "memory_mb"]


def run_all(
    path: Path, study: dict[str, Any], engine: Any = None, jobs: Any = None, **more: Any
) -> list[Ended]:
    ended: list[Ended] = []
    todo = jobs_of(study) if jobs is None else jobs
    run_jobs(path, todo, engine or Here(), ended=ended.append, watch=lambda *_: None, **more)
    return ended


def tables(path: Path, study: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    outcomes, cells = collect(PocFolder(path), study)
    return outcomes, cells.drop(columns=_TIMES)


def test_jobs_are_the_grid_seed_by_seed(tmp_path):
    study = tiny_study(tmp_path / "poc", modes=("supervised", "self-supervised"))
    jobs = jobs_of(study)
    few, most = study["plan"]["labels"]
    first = [(job.command, *((c.policy, c.labels) for c in job.cells)) for job in jobs
             if job.seed == 0]  # fmt: skip
    assert first == [
        ("train", ("none", most)), ("train", ("none-long", most)), ("train", ("samix", most)),
        ("train", ("none", few)), ("train", ("samix", few)),
        *[("pretrain", (p, most), (p, few)) for p in ("none", "none-long", "samix")],
    ]  # fmt: skip
    assert [job.seed for job in jobs] == [0] * 8 + [1] * 8
    by_name = {job.folder: job.settings for job in jobs}
    long = by_name[f"cells/supervised/none-long-{most}-s0"]
    assert (long["policy"], long["epochs"]) == ("none", 6)
    assert by_name[f"cells/supervised/samix-{most}-s1"]["policy_options"] == {"alpha": 2.0}
    assert by_name[f"cells/supervised/none-{few}-s0"]["label_fraction"] == 0.5
    assert len(cells_of(study)) == len({cell.folder for cell in cells_of(study)}) == 2 * 11


def test_both_modes_answer_for_the_same_test_photos(tmp_path):
    path = tmp_path / "poc"
    both = ("supervised", "self-supervised")
    study = tiny_study(path, policies=("none",), seeds=(0,), modes=both, epochs=2)
    ended = run_all(path, study)
    assert [one.status for one in ended] == ["finished"] * 3
    outcomes, cells = collect(PocFolder(path), study)
    assert list(cells["status"].unique()) == ["finished"]
    assert (cells["seconds"] > 0).all()
    assert cells["alive"].isna().all()
    asked = outcomes.groupby(["mode", "labels"])["photo"].agg(lambda photos: tuple(sorted(photos)))
    assert len(asked) == 4
    assert len(set(asked)) == 1
    named = [name for name in outcomes.columns if name.startswith("p_")]
    assert outcomes[named].sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-4)
    again = run_all(path, study)  # nothing is trained twice
    assert again == ended
    counts = write_tables(PocFolder(path), study)
    assert counts == {"finished": 4, "failed": 0, "missing": 0}
    assert read_table(PocFolder(path).outcomes, "outcomes").equals(outcomes)
    assert not list(path.rglob("checkpoints"))


def test_a_failed_training_is_reported_and_not_fatal(tmp_path):
    path = tmp_path / "poc"
    study = tiny_study(path, policies=("none", "samix"), seeds=(0,), epochs=1)
    study["plan"]["options"]["samix"] = {"alpha": -1.0}
    ended = run_all(path, study)
    assert [one.status for one in ended] == ["finished", "failed", "finished", "failed"]
    assert "alpha" in ended[1].reason
    _, cells = collect(PocFolder(path), study)
    failed = cells[cells["policy"] == "samix"]
    assert list(failed["status"]) == ["failed", "failed"]
    assert "alpha" in failed["reason"].iloc[0]
    study["plan"]["options"]["samix"] = {"alpha": 1.0}  # what failed is tried again
    assert [one.status for one in run_all(path, study)] == ["finished"] * 4


def test_a_full_disk_stops_everything_and_keeps_what_is_finished(tmp_path, monkeypatch):
    path = tmp_path / "poc"
    study = tiny_study(path, policies=("none",), seeds=(0, 1), epochs=1)
    jobs = jobs_of(study)
    run_job(str(path), jobs[0])

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cells_module, "_train", full)
    with pytest.raises(StudyStoppedError, match="is full; what is finished is kept"):
        run_all(path, study)
    assert read_cell(PocFolder(path), jobs[0].cells[0])["status"] == "finished"
    assert read_cell(PocFolder(path), jobs[1].cells[0]) is None  # not called failed: it was not


def test_only_what_must_be_trained_begins_after_the_deadline(tmp_path):
    path = tmp_path / "poc"
    study = tiny_study(path, policies=("none",), seeds=(0, 1), epochs=1)
    ended = run_all(path, study, deadline=time.monotonic() - 1, keep=lambda job: job.seed == 0)
    assert len(ended) == 2
    assert write_tables(PocFolder(path), study) == {"finished": 2, "failed": 0, "missing": 2}


class Dying(Here):
    """An engine whose worker dies during some jobs."""

    def __init__(self, deadly: str, times: int) -> None:
        self.deadly, self.times, self.renewed = deadly, times, 0

    def submit(self, call: Any, *arguments: Any) -> Future[Any]:
        if self.deadly in arguments[1].folder and self.times > 0:
            self.times -= 1
            future: Future[Any] = Future()
            future.set_exception(BrokenProcessPool("killed"))
            return future
        return super().submit(call, *arguments)

    def renew(self) -> bool:
        self.renewed += 1
        return True


def test_a_worker_that_dies_is_replaced(tmp_path):
    study = tiny_study(tmp_path / "poc", policies=("none",), seeds=(0,), epochs=1)
    ended = run_all(tmp_path / "poc", study, Dying("none", 2))
    assert [one.status for one in ended] == ["finished", "finished"]
    few = study["plan"]["labels"][0]
    other = tiny_study(tmp_path / "other", policies=("none",), seeds=(0,), epochs=1)
    ended = run_all(tmp_path / "other", other, Dying(f"none-{few}", 99))
    assert [one.status for one in ended] == ["finished", "failed"]
    assert "its process died" in ended[1].reason


def test_a_study_ends_where_a_signal_has_ended_its_workers_first():
    def stopped() -> None:
        with open_engine("local", 1, "cpu") as engine:
            os.kill(engine.submit(os.getpid).result(), signal.SIGKILL)
            time.sleep(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()


def test_results_of_another_plan_are_not_taken(tmp_path):
    path = tmp_path / "poc"
    study = tiny_study(path, policies=("none",), seeds=(0,), epochs=1)
    job = jobs_of(study)[0]
    run_job(str(path), job)
    (path / job.folder / "cell.json").unlink()
    other = replace(job, settings={**job.settings, "epochs": 2})
    ended = run_job(str(path), other)
    assert ended.status == "failed"
    assert "was trained with epochs 1, the plan says 2" in ended.reason


def test_a_study_of_another_version_is_refused(tmp_path):
    path = tmp_path / "poc"
    tiny_study(path)
    text = (path / "poc.yaml").read_text()
    (path / "poc.yaml").write_text(text.replace("version: 1", "version: 99", 1))
    with pytest.raises(InputError, match="has version 99, expected 1"):
        read_study(path)
    with pytest.raises(InputError, match="no folder of samix poc"):
        read_study(tmp_path)


class CrashedError(Exception):
    pass


class Remote:
    """What ray.remote makes of a function, on threads of this process."""

    def __init__(self, call: Any, pool: ThreadPoolExecutor, options: dict[str, Any]) -> None:
        self.call, self.pool, self.given = call, pool, options

    def options(self, **given: Any) -> Remote:
        return Remote(self.call, self.pool, given)

    def remote(self, *arguments: Any) -> Any:
        future = self.pool.submit(self.call, *arguments)
        return types.SimpleNamespace(future=lambda: future)


def test_ray_runs_the_jobs_with_a_core_each(tmp_path, monkeypatch):
    """The package is stood in for; what we ask of it is what it documents."""
    path = tmp_path / "poc"
    study = tiny_study(path, policies=("none",), seeds=(0,), epochs=1)
    asked: list[Any] = []
    pool, crashes = ThreadPoolExecutor(1), iter((True, False, False))

    def called(_: Any, call: Any, *arguments: Any) -> Any:
        if next(crashes):
            raise CrashedError
        return call(*arguments)

    def remote(_: Any) -> Remote:
        made = Remote(called, pool, {})
        monkeypatch.setattr(made, "options", lambda **given: asked.append(given) or made)
        return made

    stand_in = types.ModuleType("ray")
    stand_in.init = lambda **given: asked.append(given)  # type: ignore[attr-defined]
    stand_in.shutdown = lambda: asked.append("shutdown")  # type: ignore[attr-defined]
    stand_in.cluster_resources = lambda: {"CPU": 3.0}  # type: ignore[attr-defined]
    stand_in.remote = remote  # type: ignore[attr-defined]
    stand_in.exceptions = types.SimpleNamespace(WorkerCrashedError=CrashedError)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with open_engine("ray", None, "cpu") as engine:
        assert engine.workers == 3
        ended = run_all(path, study, engine)
    assert [one.status for one in ended] == ["finished", "finished"]
    assert asked[0]["address"] is None
    assert asked[1:-1] == [{"max_retries": 0, "num_cpus": 1}] * 3  # one crashed and came again
    assert asked[-1] == "shutdown"


@pytest.mark.slow
def test_the_package_ray_trains_what_this_process_would(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_worker_niceness", "0")  # a machine that is busy lets it stand still
    one, other = tmp_path / "here", tmp_path / "ray"
    study = tiny_study(one, policies=("none", "samix"), seeds=(0,), epochs=1)
    assert tiny_study(other, policies=("none", "samix"), seeds=(0,), epochs=1) == study
    run_all(one, study)
    before = signal.getsignal(signal.SIGTERM)
    with open_engine("ray", 1, "cpu") as engine:
        assert signal.getsignal(signal.SIGTERM) == before
        ended = run_all(other, study, engine)
    assert [result.status for result in ended] == ["finished"] * 4
    for here, there in zip(tables(one, study), tables(other, study), strict=True):
        pd.testing.assert_frame_equal(here, there)


def test_engines_are_checked(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"run pip install 'samix\[ray\]'"), \
            open_engine("ray", None, "cpu"):  # fmt: skip
        pass
    with pytest.raises(InputError, match="'slurm' is unknown; expected local or ray"), \
            open_engine("slurm", None, "cpu"):  # fmt: skip
        pass


_GO_ON = """
import multiprocessing
import os
import sys
import traceback
from pathlib import Path
import samix.study.engine as engines
import samix.training.run
from samix.study import conclude
from samix.study.cells import PocFolder, read_study
from samix.study.stages import stages

fork = multiprocessing.get_context("fork")
engines.get_context = lambda name: fork
samix.training.run._PAIRS = 2  # that each run draws

def go_on(path):
    study = read_study(path)
    with engines.open_engine("local", 2, "cpu") as engine:
        for jobs in stages(PocFolder(path), study):
            engines.run_jobs(path, jobs, engine, ended=lambda one: None, watch=lambda *a: None)
    conclude.write_tables(PocFolder(path), study)

for line in sys.stdin:
    pid = os.fork()
    if not pid:
        try:
            go_on(Path(line.strip()))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Studies:
    """Goes on with studies in processes that are forked from one, which imported all at its start.

    To import takes several times as long as to train here, so that most kills would strike there.
    """

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _GO_ON],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def start(self, path: Path) -> int:
        """Begin, and return the number of the process."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{path}\n".encode())
        return self._number(300)

    def ended(self, seconds: float) -> int | None:
        """Return with what code the process ended, None where it goes on after so long."""
        found, _, _ = select.select([self.process.stdout], [], [], seconds)
        return self._number(0) if found else None

    def _number(self, seconds: float) -> int:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], seconds)[0]
        return int(self.process.stdout.readline())

    def close(self) -> None:
        """End the process that others are forked from."""
        self.process.kill()
        self.process.communicate()


@pytest.mark.slow
def test_killed_ten_times_and_resumed_is_equal(tmp_path):
    """SIGKILL of the first process at random moments of a study that may stop after each seed."""
    options: dict[str, Any] = {
        "policies": ("none", "samix"), "seeds": (0, 1, 2, 3, 4), "epochs": 2, "looks": True,
    }  # fmt: skip
    whole = tmp_path / "whole"
    tiny_study(whole, **options)
    with closing(Studies()) as studies:
        studies.start(whole)
        began = time.monotonic()
        assert studies.ended(300) == 0
        took = time.monotonic() - began
        rng, kills, rounds = random.Random(0), 0, 0

        def patience() -> float:
            return rng.uniform(0.05, 0.45) * took if kills < KILLS else 300

        while kills < KILLS:  # a study that ends before is compared, and another one is begun
            killed, rounds = tmp_path / f"killed-{rounds}", rounds + 1
            tiny_study(killed, **options)
            pid = studies.start(killed)
            while (code := studies.ended(patience())) is None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                if (code := studies.ended(60)) == 0:
                    break  # it had ended by itself just before
                assert code == -signal.SIGKILL
                kills += 1
                pid = studies.start(killed)
            assert code == 0
            study, other_study = read_study(whole), read_study(killed)
            assert study["looked"] == other_study["looked"] >= 3
            assert study["stopped"] == other_study["stopped"]
            for one, other in zip(tables(whole, study), tables(killed, study), strict=True):
                pd.testing.assert_frame_equal(one, other)
            written = [read_table(PocFolder(path).outcomes, "outcomes") for path in (whole, killed)]
            pd.testing.assert_frame_equal(*written)
