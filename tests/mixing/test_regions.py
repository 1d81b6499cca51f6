from __future__ import annotations

import itertools

import torch

from samix.mixing import block_cells, extreme_square, shifted_square


def test_blocks_cover_about_the_wanted_number_and_never_more() -> None:
    generator = torch.Generator().manual_seed(0)
    count = torch.randint(1, 197, (200,), generator=generator)
    covered = block_cells(torch.rand(200, 24, 4, generator=generator), count, (14, 14))
    found = covered.sum((1, 2, 3))
    assert (found <= count).all()
    assert (found >= 1).all()
    assert (count - found).float().mean() < 4


def test_blocks_are_rectangles() -> None:
    drawn = torch.rand(50, 1, 4)
    covered = block_cells(drawn, torch.full((50,), 30), (9, 11))[:, 0]
    covered = covered[covered.any(2).any(1)]
    assert len(covered) > 20
    for mask in covered:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns)
        for line in (rows, columns):
            places = line.nonzero().flatten()
            assert len(places) == places[-1] - places[0] + 1
    tall = covered.any(2).sum(1).float() / covered.any(1).sum(1)
    assert tall.max() > 1.3
    assert tall.min() < 0.77


def test_the_square_of_most_and_of_least_in_slow_loops() -> None:
    values, side = torch.rand(6, 1, 5, 7), torch.tensor([1, 2, 3, 4, 5, 2])
    for largest in (True, False):
        found = extreme_square(values, side, largest=largest)
        for n in range(6):
            k = int(side[n])
            sums = {
                (i, j): values[n, 0, i : i + k, j : j + k].sum().item()
                for i, j in itertools.product(range(6 - k), range(8 - k))
            }
            wanted = (max if largest else min)(sums, key=lambda place: sums[place])
            assert tuple(found[n].tolist()) == wanted


def test_a_square_shows_another_square() -> None:
    place, source = torch.tensor([[0, 1], [2, 2]]), torch.tensor([[2, 0], [0, 0]])
    square, moved = shifted_square(place, source, torch.tensor([2, 1]), (3, 4))
    assert square[0, 0].int().tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert moved[1].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 11]]
