from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samix.data import open_images
from samix.data.packed import open_unlabelled
from samix.errors import InputError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

Encoded = Callable[..., bytes]


def write(
    path: Path, photos: Sequence[bytes | None], labels: list[Any], names: list[str] | None
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    structs = [{"bytes": data, "path": None} for data in photos]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(structs, kind), "label": pa.array(labels)})
    if names is not None:
        label = {"names": names, "_type": "ClassLabel"}
        info = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    pq.write_table(table, path, row_group_size=2)


def test_names_splits_keys_and_photos(tmp_path: Path, encoded: Encoded) -> None:
    names = ["cat", "dog"]
    write(tmp_path / "data/train-00000-of-00002.parquet", [encoded(0), encoded(1)], [1, 0], names)
    write(tmp_path / "data/train-00001-of-00002.parquet", [encoded(2)] * 3, [1, 1, 0], names)
    write(tmp_path / "data/validation-00000-of-00001.parquet", [encoded(3)], [0], names)
    images = open_images(tmp_path)
    assert images.classes == ("cat", "dog")
    assert images.targets == (1, 0, 1, 1, 0, 0)
    assert images.given_split == ("train",) * 5 + ("val",)
    assert images.keys[0] == "data/train-00000-of-00002.parquet#0"
    assert images.keys[4] == "data/train-00001-of-00002.parquet#2"
    expected = [0, 1, 2, 2, 2, 3]
    for i, value in enumerate(expected):
        truth = np.random.default_rng(value).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        assert np.array_equal(np.asarray(images.read(i)), truth)
    again = pickle.loads(pickle.dumps(images))
    assert np.array_equal(np.asarray(again.read(5)), np.asarray(images.read(5)))


def test_one_file_can_be_named(tmp_path: Path, encoded: Encoded) -> None:
    write(tmp_path / "mine.parquet", [encoded(0), encoded(1)], ["b", "a"], None)
    images = open_images(tmp_path / "mine.parquet")
    assert images.classes == ("a", "b")
    assert images.given_split == (None, None)


def test_numbers_without_names_are_classes(tmp_path: Path, encoded: Encoded) -> None:
    write(tmp_path / "x.parquet", [encoded(i) for i in range(3)], [10, 2, 10], None)
    images = open_images(tmp_path)
    assert images.classes == ("2", "10")
    assert images.targets == (1, 0, 1)


def test_missing_labels_are_minus_one(tmp_path: Path, encoded: Encoded) -> None:
    photos = [encoded(i) for i in range(3)]
    write(tmp_path / "train.parquet", photos, [0, 1, None], ["cat", "dog"])
    assert open_images(tmp_path).targets == (0, 1, -1)


def test_what_is_missing_or_not_used_is_told(tmp_path: Path, encoded: Encoded) -> None:
    photos = [{"bytes": encoded(i), "path": None} for i in range(3)]
    table = {"image": photos, "label": [0, 1, None], "split": ["train", "test", "test"]}
    for name in ("train-00000-of-00003", "train-00002-of-00003", "test-00000-of-00001"):
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    assert open_images(tmp_path).notes == (
        "Of the 3 files 'train-*' only 2 are here.",
        "Column 'split' of the Parquet files is not used.",
        "3 of 9 photos have no label.",
    )


def test_label_without_a_name_is_refused(tmp_path: Path, encoded: Encoded) -> None:
    write(tmp_path / "train.parquet", [encoded(0), encoded(1)], [0, 7], ["cat", "dog"])
    with pytest.raises(InputError, match="label 7"):
        open_images(tmp_path)


def test_files_of_two_sets_are_refused(tmp_path: Path, encoded: Encoded) -> None:
    write(tmp_path / "a.parquet", [encoded(0), encoded(1)], [0, 1], ["cat", "dog"])
    write(tmp_path / "b.parquet", [encoded(0), encoded(1)], [0, 1], ["red", "blue"])
    with pytest.raises(InputError, match="disagree about their classes"):
        open_images(tmp_path)


def test_table_without_photos_names_its_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"price": [1.0], "label": [0]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="price, label"):
        open_images(tmp_path)


def test_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(InputError, match=r"train\.parquet' is not a readable parquet file"):
        open_images(tmp_path)


def test_corrupt_photos_are_counted(tmp_path: Path, encoded: Encoded) -> None:
    photos = [encoded(0), b"", None, encoded(1)]
    write(tmp_path / "train.parquet", photos, [0, 1, 0, 1], ["cat", "dog"])
    with pytest.raises(InputError, match=r"2 of 4 photos cannot be used: photo 'train.parquet#1'"):
        open_images(tmp_path)
    images = open_images(tmp_path, skip_corrupt=True)
    assert images.skipped == ("train.parquet#1", "train.parquet#2")
    assert images.targets == (0, 1)


def test_too_large_files_are_refused(
    tmp_path: Path, encoded: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "train.parquet", [encoded(0), encoded(1)], [0, 1], ["cat", "dog"])
    monkeypatch.setattr("samix.data.parquet.MEMORY_LIMIT", 10)
    with pytest.raises(InputError, match="unpack them into class folders"):
        open_images(tmp_path)


def repeated(path: Path, one: bytes, count: int, **options: Any) -> None:
    """Write a file that is small and unpacks to many times its size: one photo again and again."""
    photos = pa.array([one] * count, pa.binary())
    pq.write_table(pa.table({"image": photos, "label": [0, 1] * (count // 2)}), path, **options)


@pytest.mark.parametrize("dictionary", [True, False])
def test_a_row_group_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, encoded: Encoded, monkeypatch: pytest.MonkeyPatch, dictionary: bool
) -> None:
    one = encoded(0)
    monkeypatch.setattr("samix.data.parquet._SMALL_SET", 5000 * len(one))
    repeated(tmp_path / "a.parquet", one, 10000, use_dictionary=dictionary, compression="zstd")
    assert 2 * (tmp_path / "a.parquet").stat().st_size < 5000 * len(one)
    with pytest.raises(InputError, match=r"a row group of '.*a\.parquet' unpacks to at least"):
        open_images(tmp_path)


@pytest.mark.parametrize("dictionary", [True, False])
def test_what_unpacks_to_too_much_is_read_by_row_groups(
    tmp_path: Path, encoded: Encoded, monkeypatch: pytest.MonkeyPatch, dictionary: bool
) -> None:
    one = encoded(0)
    monkeypatch.setattr("samix.data.parquet._SMALL_SET", 50 * len(one))
    monkeypatch.setattr("samix.data.parquet._UNPACKED", 0)
    options = {"use_dictionary": dictionary, "compression": "zstd"}
    repeated(tmp_path / "a.parquet", one, 200, row_group_size=20, **options)
    images = open_images(tmp_path)
    assert len(images) == 200
    assert images.encoded is not None
    for position in (0, 199, 19, 20, 100):
        assert images.encoded(position) == one
    kept = images.read.stored.kept  # type: ignore[attr-defined]
    assert kept.full
    held = sum(group.nbytes for group in kept._groups.values())
    assert 20 * len(one) <= held <= 50 * len(one)
    again = pickle.loads(pickle.dumps(images))
    assert not again.read.stored.kept._groups
    assert again.encoded(42) == one


def test_all_photos_stay_in_memory_where_they_fit(tmp_path: Path, encoded: Encoded) -> None:
    photos = [encoded(i) for i in range(5)]
    write(tmp_path / "train.parquet", photos, [0, 1, 0, 1, 0], ["cat", "dog"])
    kept = open_images(tmp_path).read.stored.kept  # type: ignore[attr-defined]
    assert not kept.full
    assert len(kept._groups) == 3


def test_memory_of_a_file_that_unpacks_to_much(tmp_path: Path, encoded: Encoded) -> None:
    one = encoded(0, size=580)  # about a MB
    photos = pa.DictionaryArray.from_arrays(pa.array([0] * 400), pa.array([one], pa.binary()))
    table = pa.table({"image": photos, "label": [0, 1] * 200})
    pq.write_table(table, tmp_path / "a.parquet", store_schema=False)
    assert (tmp_path / "a.parquet").stat().st_size < 2 * len(one)
    before = pa.total_allocated_bytes()
    pool = pa.default_memory_pool()
    with pytest.raises(InputError, match="write smaller row groups"):
        open_images(tmp_path)
    assert pool.max_memory() - before < 350 * 2**20  # of 400 MB
    assert pa.total_allocated_bytes() - before < 2**20


def test_columns_nested_too_deep_are_refused(tmp_path: Path, encoded: Encoded) -> None:
    kind = pa.int64()
    for _ in range(20):
        kind = pa.list_(kind)
    table = pa.table({"image": pa.array([encoded(0)], pa.binary()), "x": pa.array([None], kind)})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"column 'x' of '.*' is nested \d+ levels deep, expected"):
        open_images(tmp_path)


def test_labels_must_be_one_value_a_photo(tmp_path: Path, encoded: Encoded) -> None:
    write(tmp_path / "a.parquet", [encoded(0), encoded(1)], [[0, 1], [1]], None)
    with pytest.raises(InputError, match=r"column 'label' of '.*' holds list<.*>, expected one"):
        open_images(tmp_path)


def test_more_rows_than_photos_can_be_named_are_refused(
    tmp_path: Path, encoded: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.parquet", [encoded(0), encoded(1)], [0, 1], None)
    monkeypatch.setattr("samix.data.parquet.MOST_ROWS", 1)
    with pytest.raises(InputError, match="hold 2 rows, expected at most 1; give"):
        open_images(tmp_path)


def test_photos_in_columns_of_several_names_are_refused(tmp_path: Path, encoded: Encoded) -> None:
    repeated(tmp_path / "a.parquet", encoded(0), 2)
    write(tmp_path / "b.parquet", [encoded(0), encoded(1)], [0, 1], None)
    with pytest.raises(InputError, match=r"have photos in 'image' and in 'image\.bytes'; give"):
        open_images(tmp_path)


def test_a_large_photo_in_a_table_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("1", (1500, 1000)).save(buffer, "PNG")
    repeated(tmp_path / "a.parquet", buffer.getvalue(), 2)
    assert len(open_images(tmp_path)) == 2
    with pytest.raises(InputError, match=r"photo 'a.parquet#0' has 1500 x 1000 px"):
        open_images(tmp_path, max_megapixels=1)


def test_the_split_comes_from_the_folder_too(tmp_path: Path, encoded: Encoded) -> None:
    for folder in ("default/train", "default/test", "default/partial-validation"):
        write(tmp_path / folder / "0000.parquet", [encoded(0), encoded(1)], [0, 1], ["a", "b"])
    found = open_images(tmp_path)
    folders = [key.split("/")[1] for key in found.keys]
    given = dict(zip(folders, found.given_split, strict=True))
    assert given == {"train": "train", "test": "test", "partial-validation": "val"}
    write(tmp_path / "x" / "train_test.parquet", [encoded(0), encoded(1)], [0, 1], ["a", "b"])
    assert open_images(tmp_path / "x").given_split == (None, None)


def test_several_configurations_are_not_joined(tmp_path: Path, encoded: Encoded) -> None:
    for folder in ("cropped", "full"):
        write(tmp_path / folder / "train-0.parquet", [encoded(0), encoded(1)], [0, 1], ["a", "b"])
    with pytest.raises(InputError, match=r"several configurations of a set \(cropped, full\), ea"):
        open_images(tmp_path)
    assert len(open_images(tmp_path / "full")) == 2
    months = tmp_path / "months"
    for folder in ("may", "june"):
        write(months / folder / "0.parquet", [encoded(0), encoded(1)], [0, 1], ["a", "b"])
    assert open_images(months).notes == ("The files of 2 folders are read as one set.",)


def columns(path: Path, label: Any = (0, 1), **photos: Sequence[bytes]) -> Path:
    table = {name: pa.array(list(values), pa.binary()) for name, values in photos.items()}
    pq.write_table(pa.table({**table, "label": list(label)}), path)
    return path


def test_masks_ids_and_hashes_are_no_photos(tmp_path: Path, encoded: Encoded) -> None:
    hashes, masks = [b"0123456789abcdef"] * 2, [encoded(90), encoded(91)]
    photos = [encoded(0), encoded(1)]
    for number, name in enumerate(("image", "picture", "scan")):
        given = {"image_hash": hashes, "id": hashes, "mask": masks, "raw": hashes, name: photos}
        images = open_images(columns(tmp_path / f"{number}.parquet", **given))
        assert images.encoded is not None
        assert [images.encoded(i) for i in range(2)] == photos
    with pytest.raises(InputError, match=r"photos in several columns \(front, side\); call"):
        open_images(columns(tmp_path / "x.parquet", front=photos, side=masks))
    with pytest.raises(InputError, match="no column of encoded photos, only mask, label"):
        open_images(columns(tmp_path / "y.parquet", mask=masks))


def test_label_columns(tmp_path: Path, encoded: Encoded) -> None:
    names = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    given = {"label": ["x", "y"], "kind": [0, 1], "other": [1, 1], "who": ["a", "b"]}
    table = pa.table({"image": pa.array([encoded(0), encoded(1)], pa.binary()), **given})

    def saved(**features: Any) -> Path:
        info = {"huggingface": json.dumps({"info": {"features": features}})}
        pq.write_table(table.replace_schema_metadata(info), tmp_path / "x.parquet")
        return tmp_path / "x.parquet"

    assert open_images(saved(kind=names)).classes == ("cat", "dog")
    assert open_images(saved()).classes == ("x", "y")
    assert open_images(saved(kind=names), label_column="who").classes == ("a", "b")
    with pytest.raises(InputError, match=r"several columns of classes \(kind, other\); name one"):
        open_images(saved(kind=names, other=names))
    with pytest.raises(InputError, match=r"label_column: expected a column of '.*, got 'none'"):
        open_images(saved(), label_column="none")
    pq.write_table(table.select(["image", "who"]), tmp_path / "y.parquet")
    with pytest.raises(InputError, match=r"no column of classes, only image, who; name theirs"):
        open_images(tmp_path / "y.parquet")
    assert open_images(tmp_path / "y.parquet", label_column="who").classes == ("a", "b")
    (tmp_path / "set").mkdir()
    (tmp_path / "y.parquet").rename(tmp_path / "set" / "train.parquet")
    pq.write_table(table.select(["image"]), tmp_path / "set" / "test.parquet")
    assert open_images(tmp_path / "set", label_column="who").targets == (-1, -1, 0, 1)


def test_labels_of_other_forms(tmp_path: Path, encoded: Encoded) -> None:
    photos = [encoded(i) for i in range(4)]
    for label, wanted in (
        ([1.0, 2.0, None, float("nan")], ["1", "2", None, None]),
        ([True, False, True, None], ["True", "False", "True", None]),
        (["ok", "ng ", "", "ok"], ["ok", "ng", None, "ok"]),
        ([-1, 5, 7, 5], [None, "5", "7", "5"]),
    ):
        images = open_images(columns(tmp_path / "x.parquet", label, image=photos))
        found = [None if t < 0 else images.classes[t] for t in images.targets]
        assert found == wanted


def test_names_in_the_metadata_of_other_columns_than_numbers(
    tmp_path: Path, encoded: Encoded
) -> None:
    photos = [encoded(0), encoded(1), encoded(2)]
    write(tmp_path / "a.parquet", photos, ["dog", "cat", "dog"], ["cat", "dog"])
    assert open_images(tmp_path / "a.parquet").targets == (1, 0, 1)
    write(tmp_path / "b.parquet", photos, [1.0, float("nan"), 0.0], ["cat", "dog"])
    targets = open_images(tmp_path / "b.parquet").targets
    assert targets == (1, -1, 0)
    assert all(isinstance(target, int) for target in targets)


def test_labels_of_two_forms_are_one_sentence(tmp_path: Path, encoded: Encoded) -> None:
    columns(tmp_path / "a.parquet", image=[encoded(0), encoded(1)])
    columns(tmp_path / "b.parquet", ["x", "y"], image=[encoded(0), encoded(1)])
    with pytest.raises(InputError, match=r"two forms \('a.parquet' has numbers in 'label', 'b.par"):
        open_images(tmp_path)


def test_paths_without_bytes_are_opened_or_explained(tmp_path: Path, encoded: Encoded) -> None:
    (tmp_path / "set/photos").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(encoded(9))
    (tmp_path / "set/photos/1.png").write_bytes(encoded(1))
    photos = [{"bytes": encoded(0), "path": "0.png"}, {"bytes": None, "path": "photos/1.png"}]
    table = pa.table({"image": photos, "label": [0, 1]})
    pq.write_table(table, tmp_path / "set/x.parquet")
    # the photo beside them is one, and the file has two: the file counts
    images = open_images(tmp_path / "set")
    assert images.encoded is not None
    assert [images.encoded(i) for i in range(2)] == [encoded(0), encoded(1)]
    assert images.notes == ("Photos beside the Parquet files (1) are not read.",)
    for path in ("gone.png", "../secret.png", str(tmp_path / "secret.png")):
        photos[1]["path"] = path
        pq.write_table(pa.table({"image": photos, "label": [0, 1]}), tmp_path / "set/x.parquet")
        with pytest.raises(InputError, match=rf"x.parquet#1' has no bytes, only the path '{path}'"):
            open_images(tmp_path / "set/x.parquet")
    only = pa.table({"image": ["0.png", "1.png"], "label": [0, 1]})
    pq.write_table(only, tmp_path / "paths.parquet")
    with pytest.raises(InputError, match=r"holds paths of photos \(column 'image'\), no photos"):
        open_images(tmp_path / "paths.parquet")


def test_a_folder_of_parquet_is_judged_as_it_is_learned_from(
    tmp_path: Path, encoded: Encoded
) -> None:
    write(tmp_path / "train.parquet", [encoded(0), encoded(1)], [0, 1], ["cat", "dog"])
    images = open_unlabelled([str(tmp_path)])
    assert images.keys == (f"{tmp_path}/train.parquet#0", f"{tmp_path}/train.parquet#1")
    assert images.classes == ()
    assert np.array_equal(np.asarray(images.read(1)), np.asarray(open_images(tmp_path).read(1)))
    with pytest.raises(InputError, match="holds packed photos, which are judged alone"):
        open_unlabelled([str(tmp_path), str(tmp_path / "train.parquet")])


def test_a_file_of_another_kind_is_named_and_a_broken_one_refused(
    tmp_path: Path, encoded: Encoded
) -> None:
    write(tmp_path / "train.parquet", [encoded(0), encoded(1)], [0, 1], ["cat", "dog"])
    pq.write_table(pa.table({"price": [0.5]}), tmp_path / "prices.parquet")
    images = open_images(tmp_path)
    assert len(images) == 2
    assert images.notes == ("Parquet files without photos are not read, such as 'prices.parquet'.",)
    (tmp_path / "train-2.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(InputError, match=r"train-2.parquet' is not a readable parquet file"):
        open_images(tmp_path)
    # other columns than those of photos and labels may differ
    more = pa.table({"image": [{"bytes": encoded(2), "path": "x", "height": 8}], "label": [1]})
    pq.write_table(more, tmp_path / "train-2.parquet")
    assert len(open_images(tmp_path / "train-2.parquet", need_labels=False)) == 1


def test_texts_that_are_none_are_refused(tmp_path: Path, encoded: Encoded) -> None:
    offsets, data = pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff")
    broken = pa.Array.from_buffers(pa.string(), 2, [None, offsets, data])
    photos = pa.array([encoded(0), encoded(1)], pa.binary())
    pq.write_table(pa.table({"image": photos, "label": broken}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"x.parquet' is not a readable parquet file \('utf-8'"):
        open_images(tmp_path / "x.parquet")
    pq.write_table(pa.table({"path": ["0.png", "1.png"], "label": broken}), tmp_path / "y.parquet")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "0.png").write_bytes(encoded(0))
    with pytest.raises(InputError, match=r"y.parquet' is not a readable parquet file"):
        open_images(tmp_path / "photos", labels=tmp_path / "y.parquet")


@pytest.mark.parametrize("parts", [(), ("train", "test")])
def test_what_save_to_disk_writes_is_explained(parts: tuple[str, ...], tmp_path: Path) -> None:
    for folder in [tmp_path / part for part in parts] or [tmp_path]:
        folder.mkdir(exist_ok=True)
        (folder / "data-00000-of-00001.arrow").write_bytes(b"x")
        (folder / "state.json").write_text("{}")
    written = "part.to_parquet" if parts else r"\.to_parquet\('photos/train.parquet'\)"
    with pytest.raises(InputError, match=f"holds .arrow files .*save_to_disk.*{written}"):
        open_images(tmp_path)
    with pytest.raises(InputError, match=r"datasets\.save_to_disk"):
        open_images(next(tmp_path.rglob("*.arrow")))
    with pytest.raises(InputError, match=r"datasets\.save_to_disk"):
        open_unlabelled([str(tmp_path)])
