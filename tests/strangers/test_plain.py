"""JSON and YAML of others: plain values within bounds, or one sentence."""

import os
from pathlib import Path

import pytest

from samix.plain_json import MOST_DEPTH, parse_json, read_json
from samix.plain_yaml import MOST_BYTES, dump_yaml, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100 + "]" * 100, "nested deeper than 40 levels"),
        ("[" * 50_000, "nested deeper than 40 levels"),
        ('{"a": NaN}', "finite numbers, got NaN"),
        ('{"a": 1e999}', "finite numbers, got inf"),
        ('{"a": 123456789012345678901234567890}', "more than 18 digits"),
        ("{", "Expecting"),
    ],
)
def test_json_out_of_bounds_is_a_sentence(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


def test_json_within_bounds_is_read(tmp_path: Path) -> None:
    inner = "[" * (MOST_DEPTH - 1) + "]" * (MOST_DEPTH - 1)
    (tmp_path / "x.json").write_text(f'{{"a": {inner}, "名前": [1, -2.5, null, true]}}')
    assert read_json(tmp_path / "x.json")["名前"] == [1, -2.5, None, True]


def test_a_file_that_is_none_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe would be read for ever, and a folder not at all."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ValueError, match="expected a file, got a folder, a pipe or a device"):
            read_json(path)
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ValueError, match="bytes, at most 4,194,304 are read"):
        read_yaml(tmp_path / "large.yaml")


def test_a_file_that_is_no_mapping_is_told(tmp_path: Path) -> None:
    for text, kind in (("[1]", "a list"), ("null", "nothing"), ('"x"', "a text"), ("3", "a num")):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(ValueError, match=f"expected names and values, got {kind}"):
            read_json(tmp_path / "x.json")


_DOUBLED = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 30)
)
_CHAIN = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: *a{i - 1}}}\n" for i in range(1, 3000))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 5000, "nested deeper than 40 levels"),
        (_DOUBLED, "references mean more than 200,000 values"),
        (f"{_CHAIN}<<: *a2999", "references mean more than 200,000 values"),
        ("&a [*a]", "holds itself"),
        ("a: !!python/name:os.getcwd ''", "the tag tag:yaml.org,2002:python/name:os.getcwd is not"),
        ("a: !!int ''", "the tag tag:yaml.org,2002:int is not understood"),
        ("a: 010", "'010' begins with 0"),
        ("a: 1:30", "'1:30' begins with 0 or has a colon"),
        ("a: 1:30.5", "has a colon"),
        ("a: .nan", "expected finite numbers, got nan"),
        ("1: x", "the name 1 is a number; put it between quotes"),
        ("yes: x", "the name True is true or false; put it between quotes"),
        ("? [1]\n: 2", "unhashable key"),
        ("a: [1", "expected ',' or ']'"),
        ("=", "could not determine a constructor"),
    ],
)
def test_yaml_out_of_bounds_is_one_line(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        parse_yaml(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_yaml_means_what_it_seems_to() -> None:
    found = parse_yaml(
        "{a: 1e-3, b: 2024-01-31, c: 2024-13-99, d: 0.5, e: 0, f: 0x1F, g: [1, &x 2, *x]}"
    )
    assert found == {
        "a": 0.001, "b": "2024-01-31", "c": "2024-13-99", "d": 0.5, "e": 0, "f": 31, "g": [1, 2, 2],
    }  # fmt: skip


def test_what_is_dumped_is_read_back_as_it_was() -> None:
    shared = [1, 2]
    texts = ["1e3", "1E-5", "2024-01-01", "010", "1:30", "yes", "=", ".inf", "日本語", "-", "", "~",
             "\u202ea\x1b\n", "0x1F", "1_000"]  # fmt: skip
    numbers = [1e-5, 1e22, -0.5, 7]
    values = {"texts": texts, "numbers": numbers, "a": shared, "b": shared, "c": None}
    assert parse_yaml(dump_yaml(values)) == values
