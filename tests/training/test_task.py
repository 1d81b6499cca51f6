from __future__ import annotations

from samix.training.task import first_look, has_mixer, is_alive, life_sentence, life_summary


def row(
    epoch: int,
    deviation: float,
    correlation: float = 0.95,
    exchange: float = 1.0,
    change: float = 0.5,
) -> dict[str, float]:
    return {
        "epoch": epoch,
        "step": epoch * 10,
        "mixer_mask_deviation": deviation,
        "mixer_area_lam_correlation": correlation,
        "mixer_exchange_correlation": exchange,
        "mixer_partner_change": change,
    }


def test_alive_needs_structure_area_and_content():
    assert is_alive(row(1, 0.1, 0.9))
    assert not is_alive(row(1, 0.09))
    assert not is_alive(row(1, 0.3, 0.8))
    assert not is_alive(row(1, 0.3, exchange=0.0))  # it does not know which image is which
    assert not is_alive(row(1, 0.3, change=0.0))  # one mask for all partners
    assert not is_alive(row(1, float("nan")))


def test_looks_at_the_first_epoch_past_ten_percent():
    rows = [row(1, 0.0), row(2, 0.2), row(3, 0.2)]
    assert first_look(rows[:1], 200) is None
    assert first_look(rows, 200) is rows[1]


def test_summary_says_since_when_and_never():
    lived = life_summary([row(1, 0.0), row(2, 0.2), row(3, 0.05)], 100)
    assert (lived["came_alive"], lived["first_alive_epoch"]) == (True, 2)
    assert lived["alive_since_epoch"] is None  # it is not, at the end
    again = life_summary([row(1, 0.2), row(2, 0.0), row(3, 0.2), row(4, 0.2)], 100)
    assert (again["first_alive_epoch"], again["alive_since_epoch"]) == (1, 3)
    assert again["alive_at_end"]
    assert (lived["alive_at_10_percent"], lived["alive_at_end"]) == (False, False)
    assert lived["at_end"]["mask_deviation"] == 0.05
    never = life_summary([row(1, 0.0)], 100)
    assert (never["came_alive"], never["alive_since_epoch"]) == (False, None)


def test_sentence_is_clear():
    assert "is alive" in life_sentence(row(1, 0.2))
    assert "NOT alive" in life_sentence(row(1, 0.01))
    assert not has_mixer([{"epoch": 1.0}])
