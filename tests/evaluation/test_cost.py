from __future__ import annotations

import platform
import random
import statistics
import subprocess
from dataclasses import replace
from typing import Any

import pytest
import torch
from lightly.loss import NegativeCosineSimilarity, NTXentLoss

import samix
from samix.errors import InputError
from samix.evaluation import (
    CostOptions,
    Machine,
    RunPlan,
    Workload,
    estimates,
    measure_cost,
)
from samix.evaluation.cost import measure, settings
from samix.evaluation.cost import memory as memory_module
from samix.evaluation.cost.memory import measure_memory, memory_here, run_task, why_unmeasured
from samix.evaluation.cost.numbers import (
    PeakMemory,
    blocks,
    cost_rows,
    estimate,
    ratio_over,
)
from samix.evaluation.cost.settings import (
    create_step,
    default_settings,
    kind_of,
    method_arguments,
    parse_settings,
    refuse_unusable,
)
from samix.evaluation.cost.workload import batch_loss, byol_loss, moco_loss, simclr_loss, told, unit
from samix.methods import compiled
from samix.progress import Silent

TINY = Workload(
    backbone="resnet18",
    model_kwargs={"layers": [1, 1, 1, 1], "channels": [16, 16, 16, 16]},
    stem="small",
    image_size=16,
    batch_size=4,
)


class Tried(Silent):
    """Keeps what was shown."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def work(self, what: str, done: int, total: int) -> None:
        self.names.append(what)


METHODS = ("supervised", "moco", "simclr", "byol", "mocov3")
linux = pytest.mark.skipif(platform.system() != "Linux", reason="needs /proc of Linux")


def test_dear_steps_count_as_often_as_they_occur():
    """Every fourth step trains a Mixer and takes five times as long: twice the time in all."""
    plain, setting = [2.0] * 32, [2.0, 2.0, 2.0, 10.0] * 8
    assert ratio_over(setting, plain) == (2.0, 2.0, 2.0)
    assert statistics.median(setting) / statistics.median(plain) == 1.0  # what it must not be


def test_ratio_and_quartiles_by_hand():
    seconds = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert ratio_over(seconds, [1.0] * 8) == (4.5, 2.75, 6.25)
    assert ratio_over([3.0], [2.0]) == (1.5, 1.5, 1.5)


@pytest.mark.parametrize("rounds", [1, 2, 7, 8, 9, 31, 32, 100])
def test_blocks_hold_every_round_once(rounds):
    pieces = blocks(rounds)
    assert [n for piece in pieces for n in range(rounds)[piece]] == list(range(rounds))
    lengths = [piece.stop - piece.start for piece in pieces]
    assert len(pieces) == min(8, rounds)
    assert max(lengths) - min(lengths) <= 1


def test_rows_by_hand():
    seconds = {"plain": [0.2, 0.2], "plain channels-last": [0.1, 0.1], "x": [0.3, 0.5]}
    mib = 2**20
    memory = {"plain": PeakMemory(10 * mib, 30 * mib), "x": PeakMemory(20 * mib, 30 * mib)}

    rows = cost_rows(seconds, memory, 100, reference="plain", quick="plain channels-last")
    row = rows["x"]
    assert row["milliseconds"] == pytest.approx(400)
    assert row["images_per_second"] == pytest.approx(250)
    assert row["time_ratio"] == pytest.approx(2.0)
    assert row["time_ratio_to_faster_plain"] == pytest.approx(4.0)
    assert row["mebibytes"] == 50
    assert row["memory_ratio"] == pytest.approx(1.25)
    assert row["step_memory_ratio"] == 1.0
    assert row["seconds"] == [0.3, 0.5]
    assert "mebibytes" not in rows["plain channels-last"]


def test_estimate_by_hand():
    plan = RunPlan(images=50_000, epochs=72, price=1.5, watts=400.0, currency="EUR")
    assert estimate(plan, 1000.0) == {"hours": 1.0, "money": 1.5, "kilowatt_hours": 0.4}
    bare = estimate(RunPlan(images=36, epochs=1), 0.01)
    assert bare == {"hours": pytest.approx(1.0), "money": None, "kilowatt_hours": None}
    whole = estimates(plan, {"plain": {"images_per_second": 500.0}})
    assert whole["images"] == 50_000
    assert whole["rows"]["plain"]["hours"] == 2.0


def test_settings_are_read_from_words():
    words = ["none,cutmix", "samix-fast , samix-full+clean", "cutmix", "samix-full + clean branch"]
    assert parse_settings(words, "supervised") == (
        "none", "cutmix", "samix-fast", "samix-full + clean branch",
    )  # fmt: skip
    assert parse_settings(["mixco"], "moco") == ("mixco",)
    assert parse_settings(["mixup+cheap", "mixup + share"], "supervised") == (
        "mixup + cheap", "mixup + share",
    )  # fmt: skip
    assert method_arguments("mixup + cheap") == {"policy": "mixup", "clean_branch": "cheap"}
    assert method_arguments("samix-full + clean branch") == {
        "policy": "samix", "cost": "full", "clean_branch": "branch",
    }  # fmt: skip
    assert method_arguments("mixup") == {"policy": "mixup", "clean_branch": "off"}
    assert method_arguments("mixco") == {"policy": "mixco"}
    assert [kind_of(n) for n in ("plain channels-last", "mixup", "i-mix", "samix-fast", "a/b")] == [
        "plain", "rule", "rule", "learned", "learned",
    ]  # fmt: skip


def test_samix_p_is_measured_where_it_is_there(monkeypatch):
    monkeypatch.setattr(settings, "POLICIES", {"cutmix": None})
    assert default_settings() == ("cutmix", "samix-fast", "samix-seldom", "samix-full")
    monkeypatch.setattr(settings, "POLICIES", {"cutmix": None, "samix-p": None})
    assert default_settings() == (
        "cutmix", "samix-p", "samix-fast", "samix-seldom", "samix-full",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "method", "named"),
    [
        (["cutmics"], "supervised", "'cutmix'"),
        (["samix"], "supervised", "'samix-"),
        (["mixco"], "supervised", "method=moco"),
        (["mochi"], "byol", "method=moco, got method=byol"),
        (["mixup+dirty"], "supervised", "samix-full\\+clean"),
        (["plain+clean"], "supervised", "plain\\+clean"),
        ([","], "supervised", "settings: expected one of"),
    ],
)
def test_unknown_settings_are_refused(words, method, named):
    with pytest.raises(InputError, match=named):
        parse_settings(words, method)


def test_a_folder_that_holds_no_mixer_is_refused(tmp_path):
    with pytest.raises(InputError, match="not that of a pre-trained Mixer"):
        parse_settings([str(tmp_path)], "supervised")


def test_losses_of_plain_loops_are_those_of_the_field():
    torch.manual_seed(0)
    first, second, queue = (unit(torch.randn(n, 5)) for n in (4, 4, 7))
    assert simclr_loss(first, second) == pytest.approx(float(NTXentLoss(0.2)(first, second)))
    cosine = float(NegativeCosineSimilarity()(first, second))
    assert byol_loss(first, second) == pytest.approx(2 + 2 * cosine)
    for losses, others in (
        (moco_loss(first, second, queue), [queue] * 4),
        (batch_loss(first, second), [second[torch.arange(4) != i] for i in range(4)]),
    ):
        slow = [
            -torch.log_softmax(torch.cat([second[i : i + 1], others[i]]) @ first[i] / 0.2, 0)[0]
            for i in range(4)
        ]
        assert float(losses) == pytest.approx(float(torch.stack(slow).mean()), rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("setting", ["plain", "plain channels-last", "samix-fast"])
def test_every_setting_trains(method, setting):
    """Steps change the weights, and move the average where there is one."""
    step = create_step(setting, replace(TINY, method=method), Machine())
    before = {name: value.clone() for name, value in step.held.named_parameters()}
    for _ in range(2):  # the last norm of a block starts at zero, and nothing behind it learns
        step()
    after = dict(step.held.named_parameters())
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    weights = {name for name, value in after.items() if value.requires_grad}
    assert len(weights & changed) > 0.9 * len(weights)  # some biases before a norm do nothing
    assert all(bool(value.isfinite().all()) for value in after.values())
    averaged = {name for name in after if name.startswith("average.")}
    assert averaged <= {name for name in before if not before[name].requires_grad}
    if averaged:
        assert changed & averaged


def test_weights_count_everything_that_is_held():
    plain, full = (create_step(name, TINY, Machine()) for name in ("plain", "samix-full"))
    model = samix.create_method(
        "supervised", backbone=TINY.backbone, num_classes=10, stem="small", image_size=16,
        model_kwargs=TINY.model_kwargs, policy="none",
    ).export()  # fmt: skip
    tensors = [*model.parameters(), *model.buffers()]
    assert plain.weights == sum(t.numel() * t.element_size() for t in tensors)
    mixer = sum(p.numel() * 4 for p in full.held.policy.parameters())  # type: ignore[union-attr, operator]
    assert full.weights >= 2 * plain.weights + mixer


def test_everything_is_measured_side_by_side(monkeypatch):
    order: list[int] = []

    def timed(step: Any) -> tuple[float, float]:
        order.append(id(step))
        return 0.4, 0.5

    monkeypatch.setattr(measure, "timed", timed)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    options = CostOptions(
        workload=TINY, settings=("none", "samix-full"), steps=4, warmup=2, threads=1, memory=False
    )
    result = measure_cost(options)
    assert list(result["rows"]) == ["plain", "plain channels-last", "none", "samix-full"]
    rounds = [order[at : at + 4] for at in range(0, len(order), 4)]
    assert len(rounds) == 6
    assert all(sorted(one) == sorted(rounds[0]) for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1
    assert all(row["seconds"] == [0.5] * 4 for row in result["rows"].values())
    assert all(row["time_ratio"] == 1.0 for row in result["rows"].values())
    assert all(row["images_per_second"] == 8.0 for row in result["rows"].values())
    assert "mebibytes" not in result["rows"]["plain"]
    assert any("Only 4 steps" in note for note in result["notes"])
    assert result["machine"]["threads"] == 1
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_real_steps_take_time_and_wavering_is_told(monkeypatch):
    result = measure_cost(CostOptions(workload=TINY, settings=("cutmix",), steps=2, memory=False))
    assert all(min(row["seconds"]) > 0 for row in result["rows"].values())
    assert result["faster_plain"] in ("plain", "plain channels-last")
    assert result["rows"][result["faster_plain"]]["time_ratio_to_faster_plain"] == 1.0
    dice = random.Random(0)
    monkeypatch.setattr(measure, "timed", lambda step: (1.0, dice.choice([1.0, 9.0])))
    options = CostOptions(workload=TINY, settings=("none",), steps=30, warmup=1, memory=False)
    notes = measure_cost(options)["notes"]
    assert len(notes) == 1
    assert "waver" in notes[0]


def test_compiled_steps_are_rows_of_their_own(monkeypatch):
    monkeypatch.setattr(compiled, "compile_regions", lambda method: "Nothing is compiled: no.")
    seconds = iter([2.0, 1.0, 3.0, 2.0] * 3)
    monkeypatch.setattr(measure.random.Random, "shuffle", lambda self, order: None)
    monkeypatch.setattr(measure, "timed", lambda step: (1.0, next(seconds)))
    options = CostOptions(
        workload=TINY, settings=("none",), steps=2, warmup=1, memory=False, channels_last=False,
        compiled=True,
    )  # fmt: skip
    result = measure_cost(options)
    rows = result["rows"]
    assert list(rows) == ["plain", "none", "plain, compiled", "none, compiled"]
    assert [row["kind"] for row in rows.values()] == ["plain", "rule", "plain", "rule"]
    assert rows["none, compiled"]["time_ratio"] == 1.0
    assert rows["none, compiled"]["time_ratio_to_compiled_plain"] == pytest.approx(2 / 3)
    assert 0.0 < rows["plain"]["python_share"] < rows["none"]["python_share"] * 10 < 10
    assert rows["plain, compiled"]["python_share"] is None
    assert "Nothing is compiled: no." in result["notes"]


def test_on_a_device_python_s_share_is_the_time_until_all_was_given_to_it():
    class Step:
        machine = Machine("cuda")

    found = measure.python_shares({"plain": Step()}, {"plain": [2.0, 2.0]}, {"plain": [1.0, 2.0]})
    assert found == {"plain": 0.75}


def test_what_is_measured_follows_device_and_choice():
    options = CostOptions(workload=TINY, settings=("none",))
    assert options.steps >= 30
    assert options.settings_on("cpu") == ("plain", "plain channels-last", "none")
    assert options.settings_on("cuda") == ("plain", "none")
    assert replace(options, channels_last=False).settings_on("cpu") == ("plain", "none")
    assert replace(options, channels_last=True).settings_on("cuda:1")[1] == "plain channels-last"


def test_channels_last_is_not_measured_where_samix_does_not_use_it():
    narrow = replace(TINY, model_kwargs={"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]})
    options = CostOptions(workload=narrow, settings=("none",), steps=2, memory=False)
    assert options.settings_on("cpu") == ("plain", "none")
    result = measure_cost(options)
    assert "plain channels-last" not in result["rows"]
    assert any("No plain channels-last" in note for note in result["notes"])
    for asked in ({"channels_last": True}, {"settings": ("plain channels-last",)}):
        with pytest.raises(InputError, match="is not measured with resnet18 on the CPU"):
            measure_cost(replace(options, **asked))
    on_gpu = replace(options, channels_last=True)
    assert on_gpu.settings_on("cuda")[1] == "plain channels-last"
    tried = Tried()
    refuse_unusable(on_gpu.settings_on("cuda"), narrow, tried)  # on the CPU, whatever the device
    assert tried.names == ["trying plain", "trying none"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"steps": 1}, "steps: expected at least 2, got 1"),
        ({"warmup": 0}, "warmup: expected"),
        ({"threads": 0}, "threads: expected"),
    ],
)
def test_numbers_of_steps_are_checked(change, named):
    with pytest.raises(InputError, match=named):
        CostOptions(workload=TINY, **change)


def test_sizes_that_do_not_work_are_refused_before_anything_is_measured():
    with pytest.raises(InputError, match=r"map of 1 x 1.*stem=small"):
        refuse_unusable(("none", "samix-full"), replace(TINY, stem=None), Silent())
    make = {"depths": (1, 1, 1, 1), "dims": (4, 8, 8, 8)}
    other = replace(TINY, backbone="convnext_atto", model_kwargs=make, stem=None, image_size=8)
    with pytest.raises(InputError, match="does not work with convnext_atto at image_size=8"):
        refuse_unusable(("plain",), other, Silent())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
)
def test_memory_that_runs_out_is_told_in_a_sentence(error):
    refused = pytest.raises(InputError, match="memory ran out at 'x' with batch_size=4")
    with refused, told(TINY, "'x'", stepping=True):
        raise error


@pytest.mark.slow
@linux
def test_peak_memory_of_a_fresh_process_and_of_this_one():
    """The wider network holds more; its weights are known exactly."""
    wide = replace(TINY, model_kwargs={"layers": [1] * 4, "channels": [64] * 4}, image_size=32)
    child = measure_memory("plain", wide, Machine(), threads=1)
    assert child.weights == create_step("plain", wide, Machine()).weights
    activations = 4 * 32 * 32 * 64 * 4  # bytes of one map of the first stage
    assert 4 * activations < child.steps < 2**30
    assert child.peak == child.weights + child.steps
    assert memory_here("plain", TINY, Machine()).weights < child.weights


@linux
def test_a_process_that_fails_is_told_apart(monkeypatch):
    def ended(code: int, text: str) -> None:
        done = subprocess.CompletedProcess([], code, "", text)
        monkeypatch.setattr(memory_module.subprocess, "run", lambda *_, **__: done)

    def message(kind: type[Exception]) -> str:
        with pytest.raises(kind) as caught:
            measure_memory("plain", TINY, Machine(), threads=1)
        return str(caught.value)

    ended(-9, "")
    assert "batch_size=4" in message(InputError)
    ended(2, "warning\nthe sentence")
    assert message(InputError) == "the sentence"
    ended(1, "Traceback\nValueError: why")
    assert "ValueError: why" in message(RuntimeError)


@linux
def test_the_task_of_the_fresh_process_is_text():
    import json
    from dataclasses import asdict

    task = {"setting": "none", "workload": asdict(TINY), "autocast": "bfloat16", "threads": 1}
    before = torch.get_num_threads()
    memory = run_task(json.dumps(task))
    torch.set_num_threads(before)
    assert memory["weights"] == create_step("none", TINY, Machine()).weights
    assert memory["steps"] >= 0


def test_where_memory_cannot_be_measured_a_note_or_a_refusal_says_so(monkeypatch):
    assert why_unmeasured("cuda:0") is None
    assert "'mps'" in str(why_unmeasured("mps"))
    monkeypatch.setattr(memory_module.platform, "system", lambda: "Darwin")
    options = CostOptions(workload=TINY, settings=("none",), steps=2)
    notes = measure_cost(options)["notes"]
    assert "under Darwin" in notes[0]
    with pytest.raises(InputError, match=r"memory=True.*under Darwin"):
        measure_cost(replace(options, memory=True))
