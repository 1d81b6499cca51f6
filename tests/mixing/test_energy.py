from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from samix.mixing import grid_energy, lowest_energy, unordered_places


def problem(count: int, levels: int, rows: int, columns: int, pull: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [
        torch.rand(count, levels, rows, columns, generator=generator),
        pull * torch.rand(count, rows - 1, columns, generator=generator),
        pull * torch.rand(count, rows, columns - 1, generator=generator),
    ]


def test_the_energy_is_that_of_the_formula_in_slow_loops() -> None:
    unary, down, across = problem(1, 3, 3, 4, 1.0)
    labels = torch.randint(0, 3, (1, 3, 4))
    wanted = 0.0
    for i, j in itertools.product(range(3), range(4)):
        z = labels[0, i, j] / 2
        wanted += unary[0, labels[0, i, j], i, j].item()
        if i < 2:
            wanted += (down[0, i, j] * (z - labels[0, i + 1, j] / 2) ** 2).item()
        if j < 3:
            wanted += (across[0, i, j] * (z - labels[0, i, j + 1] / 2) ** 2).item()
    assert grid_energy(labels, unary, down, across).item() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("pull", [0.0, 0.3, 1.0, 5.0])
@pytest.mark.parametrize("levels", [2, 3])
def test_the_solver_is_close_to_the_lowest_energy_of_all_labellings(
    levels: int, pull: float
) -> None:
    count = 40
    unary, down, across = problem(count, levels, 3, 3, pull)
    every = torch.tensor(list(itertools.product(range(levels), repeat=9))).view(-1, 3, 3)
    lowest = torch.stack(
        [
            grid_energy(
                every,
                *(
                    part[[i]].expand(len(every), -1, -1, -1)
                    if part.ndim == 4
                    else part[[i]].expand(len(every), -1, -1)
                    for part in (unary, down, across)
                ),
            ).min()
            for i in range(count)
        ]
    )
    found = grid_energy(lowest_energy(unary, down, across), unary, down, across)
    assert (found >= lowest - 1e-5).all()
    assert ((found - lowest) < 1e-5).float().mean() >= 0.9
    assert (found / lowest).max() < 1.1


def test_without_neighbours_it_is_the_best_label_of_each_cell() -> None:
    unary, down, across = problem(2, 3, 5, 7, 0.0)
    assert torch.equal(lowest_energy(unary, down, across), unary.argmin(1))


def test_strong_neighbours_all_show_the_same() -> None:
    unary, down, across = problem(3, 2, 4, 4, 0.0)
    labels = lowest_energy(unary, down + 100, across + 100)
    assert torch.equal(labels, unary.sum((2, 3)).argmin(1).view(-1, 1, 1).expand(-1, 4, 4))


def test_labels_without_order_cost_one_where_two_neighbours_differ() -> None:
    unary, down, across = problem(1, 4, 3, 3, 1.0)
    places = unordered_places(4, unary)
    labels = torch.randint(0, 4, (1, 3, 3))
    wanted = unary.gather(1, labels.unsqueeze(1)).sum().item()
    for i, j in itertools.product(range(3), range(3)):
        if i < 2 and labels[0, i, j] != labels[0, i + 1, j]:
            wanted += down[0, i, j].item()
        if j < 2 and labels[0, i, j] != labels[0, i, j + 1]:
            wanted += across[0, i, j].item()
    assert grid_energy(labels, unary, down, across, places).item() == pytest.approx(
        wanted, abs=1e-5
    )


@pytest.mark.parametrize("pull", [0.1, 0.5, 2.0])
def test_the_solver_finds_unordered_labels_too(pull: float) -> None:
    unary, down, across = problem(30, 6, 2, 3, pull)
    places = unordered_places(6, unary)
    every = torch.cartesian_prod(*(torch.arange(6) for _ in range(6))).view(-1, 2, 3)
    found = lowest_energy(unary, down, across, places)
    energy = grid_energy(found, unary, down, across, places)
    over = []
    for i in range(30):
        own = unary[[i]].expand(len(every), -1, -1, -1)
        lowest = grid_energy(every, own, down[[i]], across[[i]], places).min()
        assert energy[i] >= lowest - 1e-5
        over.append((energy[i] / lowest).item())
    assert max(over) < 1.25
    assert sum(value < 1 + 1e-5 for value in over) >= 20


@pytest.mark.parametrize("labels", [5, 20])
def test_both_ways_to_add_up_neighbours_find_the_same(
    monkeypatch: pytest.MonkeyPatch, labels: int
) -> None:
    generator = torch.Generator().manual_seed(labels)
    unary = torch.rand(12, labels, 4, 5, generator=generator)
    down = 0.3 * torch.rand(12, 3, 5, generator=generator)
    across = 0.3 * torch.rand(12, 4, 4, generator=generator)
    places = unordered_places(labels, unary)
    by_matrix = lowest_energy(unary, down, across, places)
    monkeypatch.setattr("samix.mixing.energy._SMALL", 0)
    by_cell = lowest_energy(unary, down, across, places)
    assert torch.equal(by_matrix, by_cell)
    assert not torch.equal(by_matrix, unary.argmin(1))  # neighbours had a say
