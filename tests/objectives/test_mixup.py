from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from samix import area_loss, eta_balanced_loss, global_loss, local_loss, soft_cross_entropy
from samix.objectives import (
    area_lam_correlation,
    attention_entropy,
    exchange_correlation,
    partner_change,
    within_mask_deviation,
)


def case(batch: int = 6, classes: int = 5) -> tuple[torch.Tensor, ...]:
    logits = torch.randn(batch, classes, dtype=torch.float64)
    original, partner = torch.randint(0, classes, (2, batch))
    partner[0] = original[0]
    return logits, original, partner, torch.rand(batch, dtype=torch.float64)


def slow(
    logits: torch.Tensor, original: torch.Tensor, partner: torch.Tensor, lam: torch.Tensor
) -> tuple[float, float]:
    """Both terms as the paper writes them, one number at a time."""
    local, whole = [], []
    for row, a, b, share in zip(logits.numpy(), original, partner, lam.numpy(), strict=True):
        e = np.exp(row)
        whole.append(-share * np.log(e[a] / e.sum()) - (1 - share) * np.log(e[b] / e.sum()))
        pair = e[a] + e[b]
        term = -share * np.log(e[a] / pair) - (1 - share) * np.log(e[b] / pair)
        local.append(0.0 if a == b else term)
    return float(np.mean(local)), float(np.mean(whole))


def test_paper_formula_in_slow_loops() -> None:
    arguments = case()
    local, whole = slow(*arguments)
    assert local_loss(*arguments).item() == pytest.approx(local, abs=1e-12)
    assert global_loss(*arguments).item() == pytest.approx(whole, abs=1e-12)
    for eta in (0.0, 0.1, 0.5, 1.0):
        balanced = eta_balanced_loss(*arguments, eta)
        assert balanced.item() == pytest.approx(local + eta * whole, abs=1e-12)


def test_at_lam_1_the_global_term_is_cross_entropy_and_so_is_a_one_hot_soft_target() -> None:
    logits, original, partner, _ = case()
    ones = torch.ones(6, dtype=torch.float64)
    plain = F.cross_entropy(logits, original)
    assert torch.allclose(global_loss(logits, original, partner, ones), plain)
    one_hot = F.one_hot(original, 5).double()
    assert torch.allclose(soft_cross_entropy(logits, one_hot), plain)


def test_the_encoders_soft_loss_is_the_global_term() -> None:
    logits, original, partner, lam = case()
    share = lam.unsqueeze(1)
    soft = share * F.one_hot(original, 5) + (1 - share) * F.one_hot(partner, 5)
    wanted = global_loss(logits, original, partner, lam)
    assert torch.allclose(soft_cross_entropy(logits, soft), wanted)


@pytest.mark.parametrize(("outputs", "columns"), [(1, 1), (3, 1), (3, 2)])
def test_rows_of_another_width_and_one_output_are_refused(outputs: int, columns: int) -> None:
    with pytest.raises(ValueError, match="soft_target: expected"):
        soft_cross_entropy(torch.zeros(3, outputs), torch.ones(3, columns))


def test_two_candidates_make_local_and_global_equal() -> None:
    logits = torch.randn(4, 2)
    zeros, ones, lam = torch.zeros(4).long(), torch.ones(4).long(), torch.rand(4)
    arguments = (logits, zeros, ones, lam)
    assert torch.allclose(local_loss(*arguments), global_loss(*arguments), atol=1e-6)


def test_the_local_term_does_not_see_the_other_candidates() -> None:
    logits, original, partner, lam = case()
    logits.requires_grad_(True)
    (gradient,) = torch.autograd.grad(local_loss(logits, original, partner, lam), logits)
    mixed = F.one_hot(original, 5).bool() | F.one_hot(partner, 5).bool()
    assert gradient[~mixed].abs().max() == 0
    assert gradient[0].abs().max() == 0  # a pair of one class
    assert gradient[1:][mixed[1:]].abs().max() > 0


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    a, b, lam = torch.tensor([0]), torch.tensor([1]), torch.tensor([0.5])
    loss = eta_balanced_loss(logits, a, b, lam, 0.5)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()  # type: ignore[arg-type]


def test_low_precision_logits_give_a_float32_loss() -> None:
    logits, original, partner, lam = case()
    loss = eta_balanced_loss(logits.bfloat16(), original, partner, lam.float())
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(eta_balanced_loss(*case_like(logits)).item(), rel=0.2)


def case_like(logits: torch.Tensor) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    return case()


def test_gradcheck() -> None:
    logits, original, partner, lam = case()
    logits.requires_grad_(True)
    lam.requires_grad_(True)
    for eta in (0.0, 0.5):
        assert torch.autograd.gradcheck(
            lambda x, w, eta=eta: eta_balanced_loss(x, original, partner, w, eta), (logits, lam)
        )


def test_area_loss_in_slow_loops() -> None:
    mask, lam = torch.rand(5, 1, 4, 4, dtype=torch.float64), torch.rand(5, dtype=torch.float64)
    excess, variance = [], []
    for one, share in zip(mask.numpy(), lam.numpy(), strict=True):
        excess.append(max(abs(one.mean() - share) - 0.1, 0.0))
        variance.append(((one - one.mean()) ** 2).mean())
    wanted = np.mean(excess) - 2 * np.mean(variance)
    assert area_loss(mask, lam, 0.1).item() == pytest.approx(wanted, abs=1e-12)


def test_area_loss_limits() -> None:
    lam = torch.tensor([0.2, 0.7])
    flat = lam.view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    assert area_loss(flat, lam).item() == 0.0
    # errors of opposite sign do not cancel: the area is held per sample, not per batch
    swapped = lam.flip(0).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    assert area_loss(swapped, lam).item() == pytest.approx(0.4)


def test_area_loss_gradcheck() -> None:
    mask = torch.rand(3, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    lam = torch.tensor([0.1, 0.5, 0.95], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: area_loss(s, lam), (mask,))


def test_signs_of_life_of_known_masks() -> None:
    lam = torch.tensor([0.2, 0.5, 0.9])
    flat = lam.view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    assert within_mask_deviation(flat).item() == 0.0
    assert area_lam_correlation(flat, lam).item() == pytest.approx(1.0)
    assert area_lam_correlation(flat, 1 - lam).item() == pytest.approx(-1.0)
    assert area_lam_correlation(flat.mean().expand(3, 1, 4, 4), lam).item() == 0.0
    half = torch.zeros(1, 1, 2, 2)
    half[..., 0] = 1.0
    assert within_mask_deviation(half).item() == pytest.approx(0.5)
    uniform, sharp = torch.full((1, 4, 4), 0.25), torch.eye(4).unsqueeze(0)
    assert attention_entropy(uniform).item() == pytest.approx(1.0)
    assert attention_entropy(sharp).item() == pytest.approx(0.0, abs=1e-6)


def test_exchange_and_change_of_partner() -> None:
    mask = torch.rand(4, 1, 6, 6)
    assert exchange_correlation(mask, 1.0 - mask).item() == pytest.approx(1.0, abs=1e-5)
    assert exchange_correlation(mask, mask).item() == pytest.approx(-1.0, abs=1e-5)
    flat = torch.full((4, 1, 6, 6), 0.3)
    assert exchange_correlation(flat, 1.0 - flat).item() == pytest.approx(0.0, abs=1e-3)
    many = torch.rand(64, 1, 32, 32)
    assert exchange_correlation(many, torch.rand(64, 1, 32, 32)).abs() < 0.05
    assert partner_change(mask, mask).item() == 0.0
    assert partner_change(many, torch.rand(64, 1, 32, 32)).item() == pytest.approx(1.0, abs=0.05)
    assert partner_change(flat, flat).item() == 0.0
