from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import samix
from samix.cli import create_parser, main, parsers_of

SOURCE = Path(samix.__file__).parent


def said(words, capsys) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_version(capsys):
    assert said(["--version"], capsys) == f"samix {samix.__version__}\n"


def test_help_names_commands_and_a_first_step(capsys):
    text = said(["--help"], capsys)
    for word in ("train", "evaluate", "policies", "samix check demo"):
        assert word in text


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train", ("photos/good/1.png", "--group-by", "samix train demo", "--init", "--policy")),
        ("pretrain", ("flat", "never", "--method", "quick", "samix pretrain demo", "--policy")),
    ],
)
def test_help_explains_data_and_every_option(command, words, capsys):
    text = said([command, "--help"], capsys)
    for word in ("--resume", "--freeze-mixer", *words):
        assert word in text
    parser = create_parser()._subparsers._group_actions[0].choices[command]
    assert all(action.help for action in parser._actions)


def test_policies_lists_all_with_their_options(capsys):
    assert main(["policies"]) == 0
    text = capsys.readouterr().out
    for name in (*samix.POLICIES, "i-mix", "mochi"):
        assert f"\n{name} " in f"\n{text}"
    assert "alpha 2.0" in text


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("train demo --epoch 3", "'samix train' has no --epoch; did you mean --epochs?"),
        ("check demo --skip-corrupt", "'samix check' has no --skip-corrupt, which is of 'samix"),
        ("mixer list --budget=3", "'samix mixer list' has no --budget, which is of 'samix poc'"),
        ("--epochs train demo", "--epochs stands before the command; write it after 'samix train'"),
        ("check a b", "'samix check' takes no further word, got 'b'"),
        ("train demo --zzz", "'samix train' has no --zzz; see 'samix train --help'"),
    ],
)
def test_an_option_that_a_command_lacks_is_explained(words, advice, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words.split())
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(f"samix: {advice}")


@pytest.mark.parametrize("words", [[], ["trian"], ["train", "--foo"]])
def test_unknown_words_exit_with_two(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_help_needs_no_torch():
    code = (
        "import sys\n"
        "from samix.cli import main\n"
        "try:\n    main(['train', '--help'])\n"
        "finally:\n    print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: samix train")
    assert done.stdout.rstrip().endswith("False")


def test_only_the_command_line_spells_its_options():
    """The library names arguments; samix.shown.flagged writes them as options."""
    flags = {
        flag
        for _, parser in parsers_of(create_parser())
        for action in parser._actions
        for flag in action.option_strings
    }
    for file in SOURCE.rglob("*.py"):
        if file.parent.name != "cli":
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    spelled = flags & set(re.findall(r"(?<![\w(-])--[a-z][a-z-]+", node.value))
                    assert not spelled, f"{file.name}:{node.lineno}"


def test_samix_alone_shows_help_and_a_slip_is_asked_about(capsys):
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "samix COMMAND --help" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(["trian", "photos"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "there is no command 'trian'; did you mean 'samix train'?" in said
