"""Image sets, their splits, what a network sees of them, and batches.

`open_images` gives an `ImageSet`, `make_splits` its train, val and test parts, `labelled_subset` a
smaller label budget, `train_view` and `eval_view` what the network sees, `build_loaders` batches;
`two_views` and `build_view_loader` are for training without labels.
"""

from __future__ import annotations

from samix.data.demo import (
    DEMO_CLASSES,
    DEMO_IMAGE_SIZE,
    DemoOptions,
    DemoPhoto,
    demo_photo,
    open_demo,
    write_demo,
)
from samix.data.duplicates.leakage import DuplicateUse, find_leakage, keep_together, split_together
from samix.data.duplicates.search import Duplicates, find_duplicates
from samix.data.image_set import ImageSet
from samix.data.loaders import (
    Loaders,
    Loading,
    PhotoDataset,
    ViewBatch,
    ViewDataset,
    build_loaders,
    build_view_loader,
    choose_batch_size,
)
from samix.data.open import check_labels, join_images, join_splits, open_images
from samix.data.sampling import EpochSampler, random_keys
from samix.data.splits import (
    Splits,
    check_splits,
    find_groups,
    labelled_subset,
    make_splits,
    make_unlabelled_splits,
    read_splits,
    unused_notes,
    write_splits,
)
from samix.data.store import PhotoStore
from samix.data.two_views import RECIPES, Recipe, RecipeName, TwoViews, two_views
from samix.data.views import IMAGENET_MEAN, IMAGENET_STD, Augmentation, View, eval_view, train_view

__all__ = [
    "DEMO_CLASSES",
    "DEMO_IMAGE_SIZE",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "RECIPES",
    "Augmentation",
    "DemoOptions",
    "DemoPhoto",
    "DuplicateUse",
    "Duplicates",
    "EpochSampler",
    "ImageSet",
    "Loaders",
    "Loading",
    "PhotoDataset",
    "PhotoStore",
    "Recipe",
    "RecipeName",
    "Splits",
    "TwoViews",
    "View",
    "ViewBatch",
    "ViewDataset",
    "build_loaders",
    "build_view_loader",
    "check_labels",
    "check_splits",
    "choose_batch_size",
    "demo_photo",
    "eval_view",
    "find_duplicates",
    "find_groups",
    "find_leakage",
    "join_images",
    "join_splits",
    "keep_together",
    "labelled_subset",
    "make_splits",
    "make_unlabelled_splits",
    "open_demo",
    "open_images",
    "random_keys",
    "read_splits",
    "split_together",
    "train_view",
    "two_views",
    "unused_notes",
    "write_demo",
    "write_splits",
]
