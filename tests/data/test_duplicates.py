from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from samix.data import (
    ImageSet,
    find_duplicates,
    find_leakage,
    keep_together,
    open_images,
    split_together,
)
from samix.data.duplicates import search as module
from samix.data.duplicates.fingerprints import content_hashes, take_fingerprints
from samix.data.duplicates.leakage import large_notes
from samix.data.duplicates.matching import normalise, refine
from samix.data.duplicates.search import merge_groups, record_path, star_groups
from samix.data.health import check_images
from samix.errors import InputError
from samix.pages.health import problems_of

Change = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class Held:
    photos: Sequence[Image.Image]

    def __call__(self, index: int) -> Image.Image:
        return self.photos[index]


def scene(seed: int, width: int = 96, height: int = 80) -> Image.Image:
    """A photo with structure at several sizes that no other seed gives."""
    rng = np.random.default_rng(seed)
    sum_ = np.zeros((height, width))
    for cells in (4, 8, 16):
        grid = rng.uniform(0, 255, (cells, cells)).astype(np.uint8)
        layer = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        sum_ += np.asarray(layer, dtype=np.float64) / 3
    return Image.fromarray(sum_.clip(0, 255).astype(np.uint8)).convert("RGB")


def held(photos: Sequence[Image.Image], given: Sequence[str | None] | None = None) -> ImageSet:
    count = len(photos)
    return ImageSet(
        name="held",
        classes=("a", "b"),
        keys=tuple(f"{i}.png" for i in range(count)),
        targets=tuple(i % 2 for i in range(count)),
        given_split=tuple(given or [None] * count),  # type: ignore[arg-type]
        given_group=(None,) * count,
        read=Held(photos),
    )


def dimmed(photo: Image.Image) -> Image.Image:
    return photo.point(lambda value: 0.6 * value)


def cropped(photo: Image.Image) -> Image.Image:
    width, height = photo.size
    return photo.crop((3, 2, width - 2, height - 2))


def shifted(photo: Image.Image, by: int = 5) -> Image.Image:
    wide = np.pad(np.asarray(photo), ((0, 0), (by, 0), (0, 0)), mode="edge")
    return Image.fromarray(wide[:, : photo.width])


def compressed(photo: Image.Image, tmp: Path) -> Image.Image:
    photo.save(tmp / "x.jpg", quality=40)
    return Image.open(tmp / "x.jpg").convert("RGB")


def test_the_same_photo_is_found_under_each_change_and_no_other(tmp_path: Path) -> None:
    originals = [scene(i) for i in range(40)]
    changes: list[Change] = [
        dimmed,
        cropped,
        shifted,
        lambda photo: photo.rotate(3, Image.Resampling.BICUBIC, fillcolor=(128,) * 3),
        lambda photo: compressed(photo, tmp_path),
        lambda photo: photo.resize((180, 150)),
        lambda photo: photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    ]
    copies = [change(photo) for change, photo in zip(changes, originals, strict=False)]
    found = find_duplicates(held([*originals, *copies]))
    assert {frozenset(group) for group in found.groups} == {
        frozenset((i, 40 + i)) for i in range(len(changes))
    }
    assert found.equal == ()
    assert found.large == ()
    assert found.apart == 0
    mirrored = {tuple(pair) for pair in found.pairs[found.mirrored].tolist()}
    assert mirrored == {(6, 46)}
    assert (found.agreement >= 0.8).all()
    assert found.size[0].tolist() == [96, 80]


def test_equal_photos_are_found_by_their_pixels_whatever_the_file(tmp_path: Path) -> None:
    for name, kind in (("a.png", "PNG"), ("b.bmp", "BMP"), ("c.png", "PNG")):
        (tmp_path / "photos" / "x").mkdir(parents=True, exist_ok=True)
        scene(3 if name[0] == "c" else 1).save(tmp_path / "photos" / "x" / name, kind)
    found = find_duplicates(open_images(tmp_path / "photos", need_labels=False))
    assert found.equal == ((0, 1),)
    assert found.groups == ((0, 1),)
    assert len(found.pairs) == 0


def test_copies_of_a_near_duplicate_are_in_its_group() -> None:
    first, other = scene(1), scene(2)
    found = find_duplicates(held([other, first, dimmed(first), first, dimmed(first)]))
    assert found.groups == ((1, 2, 3, 4),)
    assert found.equal == ((1, 3), (2, 4))


def test_equal_photos_with_different_labels_are_told() -> None:
    one, other = scene(1), scene(2)
    same = held([one, other, one, other])
    assert not [
        note for note in keep_together(same, group_by=None, use="group")[1] if "label" in note
    ]
    for given in (None, ["train", "train", "test", "test", "train"]):
        images = held([one, one, other, scene(3), scene(4)], given)
        notes = keep_together(images, group_by=None, use="group")[1]
        told = "1 group of equal photos with different labels, such as '0.png' and '1.png'"
        assert [note for note in notes if told in note]


def test_plain_photos_of_other_colours_are_not_near_duplicates() -> None:
    plain = [Image.new("RGB", (40, 40), (shade, shade, shade)) for shade in range(0, 200, 20)]
    assert find_duplicates(held(plain)).groups == ()


def test_one_photo_and_two_photos() -> None:
    assert find_duplicates(held([scene(1)])).groups == ()
    assert find_duplicates(held([scene(1), scene(2)])).groups == ()


def test_a_chain_of_shifted_photos_does_not_become_one_group() -> None:
    step, width = 12, 96
    long = scene(7, width=step * 60, height=80)
    chain = [long.crop((step * i, 0, step * i + width, 80)) for i in range(40)]
    found = find_duplicates(held(chain + [scene(100 + i) for i in range(40)]))
    assert len(found.groups) > 4
    assert found.large == ()
    assert found.apart > 0  # links of the chain that were not followed
    for group in found.groups:  # each shares more than half of its width with the first one
        assert max(abs(i - group[0]) for i in group) * step < width / 2


def test_many_photos_of_one_thing_are_one_group_which_is_not_used_silently() -> None:
    rng = np.random.default_rng(0)
    base = np.asarray(scene(1), dtype=np.float64)
    many = [
        Image.fromarray((base + rng.normal(0, 4, base.shape)).clip(0, 255).astype(np.uint8))
        for _ in range(45)
    ]
    images = held(many + [scene(10 + i) for i in range(50)])
    found = find_duplicates(images)
    assert found.groups == ()
    assert [sorted(group) for group in found.large] == [list(range(45))]
    groups, notes = keep_together(images, group_by=None, use="group")
    assert groups is None
    assert "45 photos" in notes[0]
    assert "`group_by`" in notes[0]
    assert large_notes(found) == notes


def test_equal_photos_lie_on_one_side_and_count_once_however_many_they_are() -> None:
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(70)]
    copied = [photo for photo in noise[60:] for _ in range(12)]
    images = replace(held([*noise[:60], *copied]), targets=(0,) * 60 + (1,) * 120)
    found = find_duplicates(images)
    assert found.large == ()
    assert found.groups == tuple(tuple(range(60 + 12 * i, 72 + 12 * i)) for i in range(10))
    splits, _ = split_together(images, group_by=None, use="group")
    for group in found.groups:
        sides = [set(group) & set(side) for side in (splits.train, splits.val, splits.test)]
        assert sorted(map(len, sides)) == [0, 0, 12]
    looked = check_images(images)
    assert looked.parts == 70
    assert [count.parts for count in looked.classes] == [60, 10]
    assert problems_of(looked) == []


def test_equal_photos_of_a_group_that_is_too_large_stay_together() -> None:
    rng = np.random.default_rng(0)
    base = np.asarray(scene(1), dtype=np.float64)
    many = [
        Image.fromarray((base + rng.normal(0, 4, base.shape)).clip(0, 255).astype(np.uint8))
        for _ in range(12)
    ]
    photos = [*many, *many, *(scene(10 + i) for i in range(50))]
    images = replace(held(photos), classes=("a",), targets=(0,) * 74)
    found = find_duplicates(images)
    assert [sorted(group) for group in found.large] == [list(range(24))]
    groups, _ = keep_together(images, group_by=None, use="group")
    assert groups is not None
    assert [groups[i] == groups[i + 12] is not None for i in range(12)] == [True] * 12
    assert len(set(groups[:12])) == 12
    looked = check_images(images)
    assert looked.parts == 62
    (problem,) = (one.en for one in problems_of(looked))
    assert "24 photos" in problem
    assert "--group-by" in problem
    by_hand = check_images(replace(images, given_group=tuple(f"part{i}" for i in range(74))))
    assert [one.en for one in problems_of(by_hand)] == [
        "12 sets of equal photos lie in several groups of the data."
    ]


def test_equal_files_stay_together_in_a_set_that_is_too_large_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(6):
        scene(i // 2 if i < 4 else i).save(tmp_path / "photos" / f"{i}.png")
    monkeypatch.setattr("samix.data.duplicates.leakage.MOST_PHOTOS", 5)
    images = open_images(tmp_path / "photos", need_labels=False)
    groups, notes = keep_together(images, group_by=None, use="group")
    assert groups == ("equal files 1",) * 2 + ("equal files 2",) * 2 + (None, None)
    assert "Equal files are kept on one side" in notes[0]


def test_star_groups_match_their_first_photo() -> None:
    chain = list(itertools.pairwise(range(7)))
    groups = star_groups(chain)
    edges = {frozenset(pair) for pair in chain}
    for head, *members in groups:
        assert all(frozenset((head, member)) in edges for member in members)
    assert max(map(len, groups)) == 3
    assert star_groups([]) == []
    assert star_groups([(4, 9)]) == [[4, 9]]
    assert star_groups([(0, 1), (0, 2), (0, 3), (3, 4)]) == [[0, 1, 2, 3]]


def test_groups_are_joined_only_where_every_member_matches() -> None:
    pairs = [(0, 1), (0, 2), (3, 4), (3, 5), (2, 3)]
    stars = star_groups(pairs)
    assert merge_groups(stars, pairs, lambda asked: [False] * len(asked)) == stars
    assert merge_groups(stars, pairs, lambda asked: [True] * len(asked)) == [
        sorted(range(6), key=lambda i: (i != stars[0][0], i))
    ]
    one_not = merge_groups(stars, pairs, lambda asked: [pair[1] != 0 for pair in asked])
    assert one_not == stars


def test_many_groups_in_a_row_are_joined() -> None:
    pairs = [(i, j) for i in range(60) for j in range(i + 1, min(i + 4, 60))]
    joined = merge_groups(star_groups(pairs), pairs, lambda asked: [True] * len(asked))
    assert sorted(joined[0]) == list(range(60))


def test_normalise_does_not_see_gain_and_offset() -> None:
    photo = torch.from_numpy(np.asarray(scene(1).convert("L"), dtype=np.float32))[None, :64, :64]
    darker = 0.5 * photo + 30
    assert torch.allclose(normalise(photo, 3.0), normalise(darker, 3.0), atol=0.35)
    assert normalise(torch.full((1, 32, 32), 90.0), 3.0).abs().max() < 1e-3


def test_refine_finds_a_known_map() -> None:
    photo = scene(5, 128, 128).convert("L").filter(ImageFilter.GaussianBlur(1))
    whole = torch.from_numpy(np.asarray(photo, dtype=np.float32))
    first, second = whole[None, 32:96, 32:96], whole[None, 34:98, 29:93]
    start = torch.eye(2, 3)[None]
    agreement, matrix, overlap = refine(first, second, start, width=3.0, steps=12)
    assert agreement.item() > 0.98
    # the second lies 2 px lower and 3 px further left: 2 / 32 and 3 / 32 of half the side
    assert matrix[0, :, 2].tolist() == pytest.approx([3 / 32, -2 / 32], abs=0.01)
    assert matrix[0, :, :2].flatten().tolist() == pytest.approx([1, 0, 0, 1], abs=0.03)
    assert 0.85 < overlap.item() < 1


def test_fingerprints_do_not_depend_on_the_order(make_folder: Callable[..., Path]) -> None:
    images = open_images(make_folder({"a": 6, "b": 5}))
    forward = take_fingerprints(images)
    turned = images.subset(list(range(len(images)))[::-1])
    backward = take_fingerprints(turned)
    assert (forward.grey[::-1] == backward.grey).all()
    assert forward.pixels.tolist() == backward.pixels.tolist()[::-1]
    hashes = content_hashes(images)
    assert hashes is not None
    assert content_hashes(turned) == hashes[::-1]
    assert len(set(hashes)) == 11


def test_the_second_search_comes_from_the_cache(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos" / "x"
    folder.mkdir(parents=True)
    for i in range(6):
        scene(i).save(folder / f"{i}.png")
    dimmed(scene(2)).save(folder / "9.png")

    def images() -> ImageSet:
        return open_images(tmp_path / "photos", need_labels=False)

    first = find_duplicates(images())
    assert not first.cached
    assert first.groups == ((2, 6),)
    files = list((own_cache / "duplicates").iterdir())
    assert [file.suffix for file in files] == [".npz"]

    def never(*_: object, **__: object) -> None:
        raise AssertionError("photos were read again")

    with monkeypatch.context() as patched:
        patched.setattr(module, "take_fingerprints", never)
        second = find_duplicates(images())
    assert second.cached
    assert second.groups == first.groups
    assert (second.pairs == first.pairs).all()
    assert (second.agreement == first.agreement).all()
    (folder / "0.png").touch()  # the same photos, however new the files are
    assert find_duplicates(images()).cached
    scene(50).save(folder / "0.png")
    assert not find_duplicates(images()).cached


def test_a_damaged_record_is_made_again(tmp_path: Path) -> None:
    images = held([scene(1), dimmed(scene(1)), scene(2)])
    expected = find_duplicates(images)
    path = record_path(take_fingerprints(images).pixels.tolist())
    assert path.is_file()
    path.write_bytes(b"PK no archive")
    again = find_duplicates(images)
    assert not again.cached
    assert again.groups == expected.groups


def test_a_cache_that_cannot_be_written_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SAMIX_CACHE", str(tmp_path / "file"))
    assert find_duplicates(held([scene(1), dimmed(scene(1))])).groups == ((0, 1),)


def test_the_number_of_threads_is_what_it_was() -> None:
    before = torch.get_num_threads()
    find_duplicates(held([scene(1), dimmed(scene(1))]))
    assert torch.get_num_threads() == before


def test_long_work_is_announced() -> None:
    told: list[tuple[str, int, int]] = []
    find_duplicates(
        held([scene(i) for i in range(5)] + [dimmed(scene(0))]),
        announce=lambda *words: told.append(words),
    )
    assert {what for what, _, _ in told} >= {"reading photos", "looking for near-duplicates"}
    assert all(0 < done <= total for _, done, total in told)


def test_what_comes_before_near_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("near-duplicates were looked for")

    monkeypatch.setattr("samix.data.duplicates.leakage.find_duplicates", never)
    images = held([scene(1), dimmed(scene(1))])
    assert keep_together(images, group_by="x", use="group") == (None, ())
    assert keep_together(images, group_by=None, use="ignore") == (None, ())
    assert keep_together(open_images("demo"), group_by=None, use="group") == (None, ())


def test_groups_and_what_is_said_about_them() -> None:
    images = held([scene(1), scene(2), dimmed(scene(1)), scene(3)])
    groups, notes = keep_together(images, group_by=None, use="group")
    assert groups == ("near-duplicates 1", None, "near-duplicates 1", None)
    assert notes[0].startswith("1 group of near-duplicates (2 of 4 photos) is kept on one side")
    assert keep_together(held([scene(1), scene(2)]), group_by=None, use="group") == (None, ())


def test_leakage_between_given_parts_is_counted_once_a_photo() -> None:
    base, other = scene(1), scene(2)
    photos = [base, dimmed(base), cropped(base), other, dimmed(other), scene(3)]
    images = held(photos, ["train", "test", "test", "val", "test", "test"])
    leak = find_leakage(images, find_duplicates(images))
    assert {frozenset(group) for group in leak.groups} == {frozenset((0, 1, 2)), frozenset((3, 4))}
    assert leak.affected == {"test": 3}
    assert leak.parts == {"train": 1, "val": 1, "test": 4}
    assert leak.sentence() == ("3 of 4 test photos (75.0%) have a near-duplicate in train or val")
    groups, notes = keep_together(images, group_by=None, use="group")
    assert groups is None  # given parts are never changed
    assert "Warning" in notes[0]
    assert "3 of 4 test photos" in notes[0]


def test_a_large_set_with_given_parts_is_not_searched_before_a_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("samix.data.duplicates.leakage._QUICK", 1)
    images = held([scene(1), dimmed(scene(1))], ["train", "test"])
    groups, notes = keep_together(images, group_by=None, use="group")
    assert groups is None
    assert "samix check DATA" in notes[0]
    assert "Warning" not in notes[0]


def test_too_many_photos_are_said_to_be_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samix.data.duplicates.leakage.MOST_PHOTOS", 1)
    monkeypatch.setattr(module, "MOST_PHOTOS", 1)
    images = held([scene(1), dimmed(scene(1))])
    groups, notes = keep_together(images, group_by=None, use="group")
    assert groups is None
    assert "not looked for" in notes[0]
    assert find_duplicates(images).groups == ()


def test_a_class_of_near_duplicates_alone_cannot_be_divided_and_says_how_it_could() -> None:
    first, second = scene(1), scene(2)
    photos = [first, second, dimmed(first), scene(3), cropped(first), scene(4)]
    options = {"group_by": None, "val_fraction": 0.3, "test_fraction": 0.3, "seed": 0}
    with pytest.raises(InputError, match="duplicates=ignore divides them"):
        split_together(held(photos), use="group", **options)
    splits, notes = split_together(held(photos), use="ignore", **options)
    assert sorted((*splits.train, *splits.val, *splits.test)) == list(range(6))
    assert notes == ()
