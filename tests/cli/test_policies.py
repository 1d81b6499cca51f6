from __future__ import annotations

import samix
from samix.cli import create_parser, main
from samix.methods import RIVALS


def test_every_policy_with_source_needs_and_cost(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["policies"]) == 0
    text = capsys.readouterr().out
    blocks = text.split("\n")
    for name in (*samix.POLICIES, *RIVALS):
        assert sum(line.startswith(f"{name} ") for line in blocks) == 1
    assert text.count("source: ") == len(samix.POLICIES) - 1
    assert text.count("needs: ") == text.count("cost: ") == len(samix.POLICIES)
    assert max(map(len, blocks)) <= 100
    assert "alpha 1.0, p 1.0" in text


def test_some_by_name_with_their_time(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["policies", "mixup", "none", "--time"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("mixup ")
    assert "cutmix" not in text
    assert text.count(" ms for 32 images of 64 px, ") == 1
    assert main(["policies", "mochi"]) == 0
    assert "\nmochi " in capsys.readouterr().out


def test_an_unknown_name(capsys):
    assert main(["policies", "cutmics"]) == 2
    assert capsys.readouterr().err == (
        "samix: there is no policy 'cutmics'; the nearest is 'cutmix'\n"
    )


def test_every_option_has_words():
    parser = create_parser()._subparsers._group_actions[0].choices["policies"]
    assert all(action.help for action in parser._actions)
