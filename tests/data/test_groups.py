from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from samix.data import ImageSet, find_groups
from samix.errors import InputError

MakeSet = Callable[..., ImageSet]
KEYS = ["a/part1_x.png", "a/part1_y.png", "b/part2_x.png", "b/part3_x.png"]


def test_first_bracket_is_the_group(make_set: MakeSet) -> None:
    groups = find_groups(make_set([0, 0, 1, 1], KEYS), r"part(\d+)_")
    assert groups == ("1", "1", "2", "3")


def test_whole_match_without_bracket(make_set: MakeSet) -> None:
    assert find_groups(make_set([0, 0, 1, 1], KEYS), r"part\d")[:2] == ("part1", "part1")


def test_groups_of_the_data_by_default(make_set: MakeSet) -> None:
    images = make_set([0, 0, 1], given_group=["p", "p", None])
    assert find_groups(images, None) == ("p", "p", None)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"part[12]", r"does not match photo 'b/part3_x.png'"),
        (r"nothing", r"does not match photo 'a/part1_x.png'"),
        (r"(part)", r"all 4 photos into one group \('part'\)"),
        (r".*", r"gives each photo its own group"),
        (r"(z)?part", r"does not match photo"),
        (r"part(", r"not a regular expression"),
    ],
)
def test_useless_expressions_are_refused(make_set: MakeSet, pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_groups(make_set([0, 0, 1, 1], KEYS), pattern)


def test_groups_from_a_table(make_set: MakeSet, tmp_path: Path) -> None:
    table = tmp_path / "parts.csv"
    rows = [f"{key},p{i // 2}" for i, key in enumerate(KEYS)]
    table.write_text("\n".join(["\ufeffpath,group", *reversed(rows), "other.png,p9"]))
    assert find_groups(make_set([0, 0, 1, 1], KEYS), str(table)) == ("p0", "p0", "p1", "p1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,part\na,b\n", "lacks the column 'group'"),
        ("", "is empty; expected a path"),
        ("group\n1\n", "lacks the column 'path'"),
        (f"path,group\n{KEYS[0]},1\n", f"no group for 3 photos, the first is '{KEYS[1]}'"),
        (f"path,group\n{KEYS[0]},1\n{KEYS[0]},2\n", "two groups for photo"),
        ("path,group\n" + "".join(f"{key},same\n" for key in KEYS), "all 4 photos into one"),
        ('path,group\n"a,1\n', "not a CSV file"),
    ],
)
def test_useless_tables_are_refused(
    make_set: MakeSet, tmp_path: Path, text: str, message: str
) -> None:
    table = tmp_path / "parts.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=message):
        find_groups(make_set([0, 0, 1, 1], KEYS), str(table))


def test_missing_table_is_named(make_set: MakeSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone.csv' cannot be read"):
        find_groups(make_set([0, 1]), str(tmp_path / "gone.csv"))
