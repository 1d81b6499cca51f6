"""Tables of labels as people have them, and the photos that their paths mean."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samix.data import ImageSet, find_groups, open_images
from samix.data.tables import open_table, with_labels
from samix.errors import InputError

Make = Callable[..., Path]
FLAT = [f"part{i // 2}_shot{i % 2}.png" for i in range(4)]
WANTED = ("cat", "dog", "cat", "dog")


def written(
    path: Path, *, names: list[str] | None = None, delimiter: str = ",", encoding: str = "utf-8",
    header: tuple[str, str] | None = ("path", "label"), labels: tuple[str, ...] = WANTED,
) -> str:  # fmt: skip
    rows = [*([header] if header else []), *zip(names or FLAT, labels, strict=True)]
    path.write_bytes("".join(f"{delimiter.join(row)}\r\n" for row in rows).encode(encoding))
    return str(path)


def labels_of(root: Path, table: str, **options: str) -> dict[str, str | None]:
    images = open_images(root, labels=table, **options)
    names = [None if t < 0 else images.classes[t] for t in images.targets]
    return {Path(key).name: name for key, name in zip(images.keys, names, strict=True)}


@pytest.fixture
def flat(make_folder: Make) -> Path:
    return make_folder({"": 4})


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("header", [("path", "label"), None])
def test_any_delimiter_with_and_without_a_header(
    delimiter: str, header: tuple[str, str] | None, flat: Path, tmp_path: Path
) -> None:
    table = written(tmp_path / "x.csv", delimiter=delimiter, header=header)
    assert labels_of(flat, table) == dict(zip(FLAT, WANTED, strict=True))


@pytest.mark.parametrize(
    ("encoding", "word", "told"),
    [
        ("utf-8", "傷", ""), ("utf-8-sig", "傷", ""), ("utf-16", "傷", "UTF-16"),
        ("utf-16-le", "傷", "UTF-16"), ("utf-16-be", "傷", "UTF-16"), ("cp932", "傷", "cp932"),
        ("cp932", "ｷｽﾞ", "cp932"), ("cp932", "ソ", "cp932"), ("cp1252", "größer", "cp1252"),
        ("cp1252", "défaut", "cp1252"),
    ],
)  # fmt: skip
def test_encodings(encoding: str, word: str, told: str, flat: Path, tmp_path: Path) -> None:
    labels = (word, "ok", word, "ok")
    table = written(tmp_path / "x.csv", encoding=encoding, labels=labels)
    assert open_table(table).encoding == told
    images = open_images(flat, labels=table)
    assert set(images.classes) == {word, "ok"}
    read = f" (read as {told})" if told else ""
    assert f"The labels are those of column 'label' in 'x.csv'{read}." in images.notes


@pytest.mark.parametrize(
    "form",
    [
        "photos/{}", "C:\\data\\photos\\{}", ".\\{}", "/elsewhere/of/another/{}", "../photos/{}",
        "{stem}", "{upper}",
    ],
)  # fmt: skip
def test_paths_as_other_machines_write_them(form: str, flat: Path, tmp_path: Path) -> None:
    names = [form.format(n, stem=n.removesuffix(".png"), upper=n.upper()) for n in FLAT]
    table = written(tmp_path / "x.csv", names=names)
    assert labels_of(flat, table) == dict(zip(FLAT, WANTED, strict=True))


def test_a_name_in_japanese_of_another_encoding_than_the_table(tmp_path: Path) -> None:
    from tests.data.conftest import photo

    root = tmp_path / "photos"
    root.mkdir()
    names = ["傷1", "良2", "傷3", "良4"]
    for i, name in enumerate(names):
        photo(i).save(tmp_path / "x.png")
        (tmp_path / "x.png").rename(root / os.fsdecode(f"{name}.png".encode("cp932")))
    table = written(tmp_path / "x.csv", names=[f"{n}.png" for n in names], encoding="cp932")
    assert sorted(labels_of(root, table).values()) == sorted(WANTED)
    images = open_images(root, labels=table)
    first = images.keys.index(os.fsdecode("傷1.png".encode("cp932")))
    assert images.classes[images.targets[first]] == "cat"


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_other_kinds_of_tables(kind: str, flat: Path, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    if kind == "parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        table = pa.table({"file_name": FLAT[:3], "label": [1, 0, None], "extra": [b"", b"", b""]})
        info = {"info": {"features": {"label": {"names": ["dog", "cat"], "_type": "ClassLabel"}}}}
        pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), path)
    else:
        values = (*WANTED[:2], None)
        rows = [{"file_name": n, "label": v} for n, v in zip(FLAT[:3], values, strict=True)]
        path.write_text("\n".join(map(json.dumps, rows)))
    found = labels_of(flat, str(path))
    assert found == {FLAT[0]: "cat", FLAT[1]: "dog", FLAT[2]: None, FLAT[3]: None}
    images = open_images(flat, labels=path)
    assert "2 of 4 photos have no label in it." in images.notes


def test_columns_are_found_or_named(flat: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    rows = [f"{i},{name},{WANTED[i]},{'abcd'[i]},{i * 0.1}" for i, name in enumerate(FLAT)]
    path.write_text("\n".join(["id,picture,kind,who,weight", *rows]))
    with pytest.raises(InputError, match=r"several columns \(id, picture, kind, who, weight\)"):
        open_images(flat, labels=path)
    assert labels_of(flat, str(path), label_column="kind") == dict(zip(FLAT, WANTED, strict=True))
    with pytest.raises(InputError, match=r"label_column='other' is no column of '.*x.csv'; exp"):
        open_images(flat, labels=path, label_column="other")
    path.write_text(
        "\n".join(["image_id,diagnosis", *(f"{n[:-4]},{i % 2}" for i, n in enumerate(FLAT))])
    )
    assert set(labels_of(flat, str(path)).values()) == {"0", "1"}


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (("1.0", "0.0", "", "1.0"), ("1", "0", None, "1")),
        (("-1", "0", "1", "nan"), (None, "0", "1", None)),
        (("-1", "1", "1", "-1"), ("-1", "1", "1", "-1")),
        (("01", "1", "01", "1"), ("01", "1", "01", "1")),
        (("0.5", "1.0", "0.5", "1.0"), ("0.5", "1.0", "0.5", "1.0")),
        (("None", "hole", "None ", "hole"), ("None", "hole", "None", "hole")),
    ],
)
def test_what_labels_mean(
    labels: tuple[str, ...], wanted: tuple[str | None, ...], flat: Path, tmp_path: Path
) -> None:
    table = written(tmp_path / "x.csv", labels=labels)
    assert labels_of(flat, table) == dict(zip(FLAT, wanted, strict=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\nx.png,a\n", "no path in '.*' is that of a photo: it has 'x.png'"),
        (f"path,label\n{FLAT[0]},a\n{FLAT[0]},b\n", "names two labels for photo 'part0_shot0.png'"),
        (f"path,label\n{FLAT[0]},a\n{FLAT[1]}\n", "has 1 cells in row 3"),
        (
            f"path,label,label\n{FLAT[0]},a,b\n",
            "has 'label' twice, expected the names of the columns",
        ),
        (
            f"path,label\n{FLAT[0]},OK\n{FLAT[1]},ok\n",
            "differ in case, width or invisible letters alone",
        ),
        ("part0_shot0,a\npart0_shot1,b\n", r"first row of '.*' names a photo \('part0_shot0'\)"),
        (f"path,label\n{FLAT[0]},a|b\n{FLAT[1]},b\n", r"names several classes for a photo \('a|b'"),
        ("", "is empty"),
        (f'path,label\n"{FLAT[0]},a\n', "not a CSV file"),
    ],
)
def test_useless_tables_are_refused(text: str, message: str, flat: Path, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        open_images(flat, labels=tmp_path / "x.csv")


NUMBERED = tuple(f"{i}.png" for i in range(8))
SHUFFLED = (3, 7, 0, 5, 1, 6, 2, 4)


@pytest.mark.parametrize("number", ["id", "", "image_id"])
@pytest.mark.parametrize("path", ["filename", "foto", "image"])
def test_numbers_of_rows_are_no_names_of_photos(
    number: str, path: str, make_folder: Make, tmp_path: Path
) -> None:
    photos = make_folder({"": 8}, "numbered")
    for file, name in zip(sorted(photos.iterdir()), NUMBERED, strict=True):
        file.rename(photos / name)
    rows = [f"{row},{i}.png,{'odd' if i % 2 else 'even'}" for row, i in enumerate(SHUFFLED)]
    (tmp_path / "x.csv").write_text("\n".join([f"{number},{path},label", *rows]))
    wanted = {name: ("even", "odd")[i % 2] for i, name in enumerate(NUMBERED)}
    assert labels_of(photos, str(tmp_path / "x.csv")) == wanted
    groups = [f"{row},{i}.png,{i // 2}" for row, i in enumerate(SHUFFLED)]
    (tmp_path / "g.csv").write_text("\n".join([f"{number},{path},group", *groups]))
    images = open_images(photos, labels=tmp_path / "x.csv")
    assert find_groups(images, str(tmp_path / "g.csv")) == tuple(f"{i // 2}" for i in range(8))
    # without suffixes nobody knows which column is meant
    (tmp_path / "y.csv").write_text(
        "\n".join(["id,name,label", *(f"{r},{i},{i % 2}" for r, i in enumerate(SHUFFLED))])
    )
    with pytest.raises(InputError, match=r"columns 'id' and 'name' of '.*' name different photos"):
        open_images(photos, labels=tmp_path / "y.csv")


def test_numbered_photos_need_no_header(make_folder: Make, tmp_path: Path) -> None:
    photos = make_folder({"": 8}, "numbered")
    for file, name in zip(sorted(photos.iterdir()), NUMBERED, strict=True):
        file.rename(photos / name)
    (tmp_path / "x.csv").write_text("\n".join(f"{i}.png,{'ab'[i % 2]}" for i in SHUFFLED))
    wanted = {name: "ab"[i % 2] for i, name in enumerate(NUMBERED)}
    assert labels_of(photos, str(tmp_path / "x.csv")) == wanted
    images = open_images(photos, labels=tmp_path / "x.csv")
    assert find_groups(images, str(tmp_path / "x.csv")) == tuple(wanted.values())
    (tmp_path / "pets.txt").write_text("\n".join(f"{i} 1 {i % 2} 1" for i in SHUFFLED))
    with pytest.raises(InputError, match=r"first row of '.*' has '1' twice, expected the names"):
        open_images(photos, labels=tmp_path / "pets.txt")


def test_measurements_and_lists_are_no_classes(make_folder: Make, tmp_path: Path) -> None:
    many = make_folder({"": 30}, "many")
    names = sorted(p.name for p in many.iterdir())
    values = tuple(f"{i / 7:.3f}" for i in range(30))
    table = written(tmp_path / "x.csv", names=names, labels=values)
    with pytest.raises(InputError, match=r"holds measurements such as \d"):
        open_images(many, labels=table)
    (tmp_path / "x.jsonl").write_text(json.dumps({"path": names[0], "label": ["a", "b"]}))
    with pytest.raises(InputError, match=r"column 'label' of '.*' holds lists, expected one"):
        open_images(many, labels=tmp_path / "x.jsonl")
    for other in ("x.xlsx", "gone.csv", "gone.parquet"):
        with pytest.raises(InputError, match=r"save it as CSV|cannot be read"):
            open_images(many, labels=tmp_path / other)


def test_a_name_of_several_photos_needs_its_folder(make_folder: Make, tmp_path: Path) -> None:
    root = make_folder({"one": 2, "two": 2})
    table = written(tmp_path / "x.csv", names=FLAT[:2], labels=("a", "b"))
    with pytest.raises(InputError, match=r"'part0_shot0.png' in '.*' means 2 photos, such as 'one"):
        open_images(root, labels=table)
    names = [f"{side}/{name}" for side in ("one", "two") for name in FLAT[:2]]
    table = written(tmp_path / "x.csv", names=names)
    images = open_images(root, labels=table)
    assert images.keys == tuple(names)
    assert [images.classes[t] for t in images.targets] == list(WANTED)
    # on another machine they lay in two folders, of which only one is here
    table = written(tmp_path / "y.csv", names=[f"x/{n}" for n in names], labels=("a", "b", *"ba"))
    found = {folder: labels_of(root / folder, table) for folder in ("one", "two")}
    assert found["one"] == {FLAT[0]: "a", FLAT[1]: "b"}
    assert found["two"] == {FLAT[0]: "b", FLAT[1]: "a"}
    with pytest.raises(InputError, match="no path"):
        open_images((root / "one").rename(root / "three"), labels=table)


def test_many_photos_of_one_name_in_folders_of_their_own(
    make_set: Callable[..., ImageSet], tmp_path: Path
) -> None:
    keys = [f"{i:04d}/image.png" for i in range(3000)]
    names = [f"D:\\old\\{key}" for key in keys]
    labels = tuple(f"c{i % 3}" for i in range(3000))
    table = written(tmp_path / "x.csv", names=names[::-1], labels=labels[::-1])
    images = with_labels(make_set([0] * 3000, keys), table)
    assert images.targets == tuple(i % 3 for i in range(3000))


def test_parts_come_from_folders_or_from_the_table(make_folder: Make, tmp_path: Path) -> None:
    root = make_folder({"train_images": 2, "test_images": 2})
    names = [f"{side}/{n}" for side in ("train_images", "test_images") for n in FLAT[:2]]
    table = written(tmp_path / "x.csv", names=names)
    images = open_images(root, labels=table)
    given = dict(zip(images.keys, images.given_split, strict=True))
    assert given == dict(zip(names, ["train", "train", "test", "test"], strict=True))
    words = ("training", "val", "test", "")
    rows = [f"{n},{v},{s}" for n, v, s in zip(names, WANTED, words, strict=True)]
    (tmp_path / "y.csv").write_text("\n".join(["path,label,split", *rows]))
    images = open_images(root, labels=tmp_path / "y.csv")
    found = dict(zip(images.keys, images.given_split, strict=True))
    assert found == dict(zip(names, ["train", "val", "test", None], strict=True))
    assert images.notes[-1].startswith("1 of 4 photos have no part in column 'split'")
    rows[3] += "unused"
    (tmp_path / "y.csv").write_text("\n".join(["path,label,split", *rows]))
    images = open_images(root, labels=tmp_path / "y.csv")
    assert dict(zip(images.keys, images.targets, strict=True))[names[3]] == -1
    assert images.notes[-1] == "1 photos are 'unused' in column 'split' and left out."


def test_parts_that_are_not_understood_are_told(flat: Path, tmp_path: Path) -> None:
    for words, why in ((("train", "holdout"), "it holds 'holdout'"), (("val", "test"), "no train")):
        rows = [
            f"{n},{v},{words[i % 2]}" for i, (n, v) in enumerate(zip(FLAT, WANTED, strict=True))
        ]
        (tmp_path / "x.csv").write_text("\n".join(["path,label,split", *rows]))
        images = open_images(flat, labels=tmp_path / "x.csv")
        assert set(images.given_split) == {None}
        assert why in images.notes[-1]


def test_columns_of_parts_and_groups_that_are_not_used_are_told(flat: Path, tmp_path: Path) -> None:
    parts = ("train", "test", "train", "test")
    rows = [",".join(row) for row in zip(FLAT, WANTED, parts, "xxyy", strict=True)]
    (tmp_path / "x.csv").write_text("\n".join(["path,label,phase,Group", *rows]))
    images = open_images(flat, labels=tmp_path / "x.csv")
    assert set(images.given_split) == {None}
    assert images.notes[-2].startswith("Column 'phase' is not taken for parts")
    assert images.notes[-1].startswith("Column 'Group' keeps photos together where `group_by`")


@pytest.mark.parametrize(
    "both", ["cat dog", "cat/dog", "cat + dog", "cat&dog", "cat_dog", "dog-cat", "cat and dog"]
)
def test_a_class_made_of_two_others_is_told(both: str, flat: Path, tmp_path: Path) -> None:
    table = written(tmp_path / "x.csv", labels=("cat", "dog", both, "cat"))
    told = [note for note in open_images(flat, labels=table).notes if note.startswith(f"'{both}'")]
    assert "is a class of its own beside" in told[0]
    table = written(tmp_path / "x.csv", labels=("cat", "hot dog", "wild cat", "cat"))
    assert len(open_images(flat, labels=table).notes) == 1


@pytest.mark.parametrize("both", ["['cat', 'dog']", "cat、dog"])
def test_lists_written_as_texts_are_refused(both: str, flat: Path, tmp_path: Path) -> None:
    table = written(tmp_path / "x.csv", labels=("cat", "dog", both, "cat"), delimiter="\t")
    with pytest.raises(InputError, match="several classes for a photo"):
        open_images(flat, labels=table)


def test_flat_photos_beside_a_table_are_understood(make_folder: Make) -> None:
    for inner in ("", "images"):
        root = make_folder({inner: 4}, f"beside{inner}")
        written(root / "labels.csv")
        images = open_images(root)
        keys = [Path(key).name for key in images.keys]
        found = dict(zip(keys, (images.classes[t] for t in images.targets), strict=True))
        assert found == dict(zip(FLAT, WANTED, strict=True))
        assert images.notes == ("The labels are those of column 'label' in 'labels.csv'.",)
        written(root / "other.csv", labels=("a", "a", "b", "b"))
        with pytest.raises(InputError, match=r"two ways: 'labels.csv' and 'other.csv' both have"):
            open_images(root)
    few = make_folder({"": 4}, "few")
    (few / "notes.csv").write_text("date,price\n1,2\n")
    with pytest.raises(InputError, match=r"4 loose images and .*; 'notes.csv' beside them does no"):
        open_images(few)
    assert open_images(few, need_labels=False).classes == ()


def test_class_folders_stay_what_they_are_beside_a_table(make_folder: Make) -> None:
    root = make_folder({"a": 2, "b": 2})
    written(root / "x.csv", names=[f"{c}/{n}" for c in "ab" for n in FLAT[:2]])
    assert open_images(root).classes == ("a", "b")
    with pytest.raises(InputError, match="label_column: expected None, as DATA"):
        open_images(make_folder({"a": 2, "b": 2}, "plain"), label_column="kind")


def test_the_same_reader_serves_groups(flat: Path, tmp_path: Path) -> None:
    images = open_images(flat, need_labels=False)
    names = [f"C:\\photos\\{n}" for n in FLAT]
    groups = ("部品1", "部品1", "部品2", "部品2")
    table = written(
        tmp_path / "x.txt", names=names, delimiter="\t", encoding="cp932",
        header=("file", "group"), labels=groups,
    )  # fmt: skip
    assert find_groups(images, table) == groups


def test_a_table_as_data_is_explained(flat: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a table; give the folder of the photos as DATA"):
        open_images(written(tmp_path / "x.csv"))
    (tmp_path / "photos.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="is packed; unpack it"):
        open_images(tmp_path / "photos.zip")


def test_a_table_in_each_part_as_hugging_face_writes_them(tmp_path: Path) -> None:
    for part, labels in (("train", "abab"), ("test", "ba")):
        (tmp_path / part).mkdir()
        rows = ["file_name,label"]
        for i, label in enumerate(labels):
            pixels = np.full((16, 16, 3), 10 * i + len(part), np.uint8)
            Image.fromarray(pixels).save(tmp_path / part / f"{i}.png")
            rows.append(f"{i}.png,{label}")
        (tmp_path / part / "metadata.csv").write_text("\n".join(rows))
    images = open_images(tmp_path)
    found = {
        key: (images.classes[target], given)
        for key, target, given in zip(images.keys, images.targets, images.given_split, strict=True)
    }
    assert found == {
        "train/0.png": ("a", "train"), "train/1.png": ("b", "train"),
        "train/2.png": ("a", "train"), "train/3.png": ("b", "train"),
        "test/0.png": ("b", "test"), "test/1.png": ("a", "test"),
    }  # fmt: skip
    assert any(
        "column 'label' in 'metadata.csv of test and train'" in note for note in images.notes
    )
    (tmp_path / "test" / "metadata.csv").write_text("file_name,kind\n0.png,b\n1.png,a")
    with pytest.raises(InputError, match="has the columns file_name, label, expected those of"):
        open_images(tmp_path)
    (tmp_path / "test" / "metadata.csv").unlink()  # photos of a contest: the test has no labels
    assert open_images(tmp_path).targets == (-1, -1, 0, 1, 0, 1)


@pytest.mark.parametrize(
    ("begin", "what"),
    [
        (b"PK\3\4\x14\0[Content_Types].xml", "a spreadsheet or another packed file by its content"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "a spreadsheet by its content"),
        (b"PAR1\x15\4", r"Parquet \(give it the suffix .parquet\) by its content"),
        (b"\x1f\x8b\x08path,label", "compressed by its content"),
        (b"path,label\na.png,\0\n" + b"x" * 99, "no text, expected a table"),
    ],
)
def test_what_is_called_csv_and_is_none_is_named(tmp_path: Path, begin: bytes, what: str) -> None:
    (tmp_path / "labels.csv").write_bytes(begin)
    with pytest.raises(InputError, match=rf"'.*labels.csv' is {what}.*; save it as CSV \(UTF-8\)"):
        open_table(tmp_path / "labels.csv")


def test_a_column_of_paths_is_not_taken_for_labels(flat: Path, tmp_path: Path) -> None:
    table = written(tmp_path / "x.csv")
    said = "column 'path' of '.*x.csv' holds the paths of the photos, expected their labels; name "
    with pytest.raises(InputError, match=f"{said}another one of label"):
        open_images(flat, labels=table, label_column="path")


@pytest.mark.parametrize(("no", "yes"), [("0", "1"), ("0.0", "1.0"), ("False", "True")])
def test_columns_that_mark_the_class_of_each_photo_are_classes(
    no: str, yes: str, flat: Path, tmp_path: Path
) -> None:
    rows = [f"{Path(name).stem},{yes if cat else no},{no if cat else yes},{no},{fold}"
            for name, cat, fold in zip(FLAT, (1, 0, 1, 0), (1, 1, 2, 2), strict=True)]  # fmt: skip
    (tmp_path / "x.csv").write_text("\n".join(["image,cat,dog,bird,fold", *rows]))
    images = open_images(flat, labels=str(tmp_path / "x.csv"))
    assert [images.classes[target] for target in images.targets] == list(WANTED)
    said = "The label of a photo is the column of 'x.csv' that marks it: cat, dog, bird."
    assert said in images.notes
    assert "Column 'fold' is not taken for parts; a column 'split'" in " ".join(images.notes)
    labels = labels_of(flat, str(tmp_path / "x.csv"), label_column="fold")
    assert set(labels.values()) == {"1", "2"}


def test_several_classes_of_a_photo_are_refused_by_row(flat: Path, tmp_path: Path) -> None:
    rows = [f"{name},{int(i != 2)},1" for i, name in enumerate(FLAT)]
    (tmp_path / "x.csv").write_text("\n".join(["path,scratch,dent", *rows]))
    with pytest.raises(InputError, match=r"row 1 of '.*x.csv' marks 2 of the classes scratch, d"):
        open_images(flat, labels=str(tmp_path / "x.csv"))
    parts = [f"{name},{int(i < 2)},{int(i > 1)}" for i, name in enumerate(FLAT)]
    (tmp_path / "x.csv").write_text("\n".join(["path,is_train,is_test", *parts]))
    with pytest.raises(InputError, match="is_train, is_test"):  # they are no classes
        open_images(flat, labels=str(tmp_path / "x.csv"))


@pytest.mark.parametrize("name", ["is_test", "fold", "KFold"])
def test_columns_that_divide_in_another_way_are_told(name: str, flat: Path, tmp_path: Path) -> None:
    rows = [f"{n},{label},{i % 2}" for i, (n, label) in enumerate(zip(FLAT, WANTED, strict=True))]
    (tmp_path / "x.csv").write_text("\n".join([f"path,label,{name}", *rows]))
    images = open_images(flat, labels=str(tmp_path / "x.csv"))
    assert images.given_split == (None,) * 4
    assert any(note.startswith(f"Column '{name}' is not taken for parts") for note in images.notes)
