from __future__ import annotations

import pytest

import samix
from samix.cli import main
from samix.cli.parser import create_parser


def said(words, capsys) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_version(capsys):
    assert said(["--version"], capsys) == f"samix {samix.__version__}\n"


def test_help_names_commands_and_a_first_step(capsys):
    text = said(["--help"], capsys)
    for word in ("train", "policies", "samix train demo"):
        assert word in text


def test_help_of_train_explains_data_and_every_option(capsys):
    text = said(["train", "--help"], capsys)
    for word in ("photos/good/1.png", "--resume", "--group-by", "samix train demo", "--policy"):
        assert word in text
    train = create_parser()._subparsers._group_actions[0].choices["train"]
    assert all(action.help for action in train._actions)


def test_policies_lists_all_with_their_options(capsys):
    assert main(["policies"]) == 0
    text = capsys.readouterr().out
    for name in samix.POLICIES:
        assert f"\n{name} " in f"\n{text}"
    assert "alpha 2.0" in text


@pytest.mark.parametrize("words", [[], ["trian"], ["train", "--foo"]])
def test_unknown_words_exit_with_two(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
