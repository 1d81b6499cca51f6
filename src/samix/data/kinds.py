"""Which files are photos by their names, and a sentence about those that are not read."""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from importlib import import_module
from importlib.util import find_spec

IMAGE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("apng", "avif", "avifs", "blp", "bmp", "bw", "cur", "dcx", "dds", "dib", "fit", "fits"),
        *("flc", "fli", "ftc", "ftu", "gbr", "gif", "icb", "icns", "ico", "iim", "im", "j2c"),
        *("j2k", "jfif", "jp2", "jpc", "jpe", "jpeg", "jpf", "jpg", "jpx", "mpo", "msp", "pbm"),
        *("pcd", "pcx", "pfm", "pgm", "png", "pnm", "ppm", "psd", "pxr", "qoi", "ras", "rgb"),
        *("rgba", "sgi", "tga", "tif", "tiff", "vda", "vst", "webp", "xbm", "xpm"),
    )
)
"""What Pillow reads without another program; HEIC comes with pillow-heif."""
ARCHIVES = frozenset((".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar"))
_HEIC = frozenset((".heic", ".heif", ".hif", ".heics", ".heifs"))
# What lies beside photos and is none; nobody misses it.
_BESIDE = frozenset(
    f".{suffix}"
    for suffix in (
        *(
            "cfg",
            "csv",
            "db",
            "doc",
            "docx",
            "htm",
            "html",
            "ini",
            "ipynb",
            "json",
            "jsonl",
            "lock",
        ),
        *("log", "md", "md5", "parquet", "pdf", "pkl", "py", "rst", "sha256", "toml"),
        *("tar", "tsv", "txt", "xls", "xlsx", "xml", "xmp", "yaml", "yml"),
    )
)
# Folders that machines make beside photos: thumbnails of a Synology, bins, what a Mac packs along.
_MADE = frozenset(("@eadir", "@recycle", "#recycle", "$recycle.bin", "__macosx", "lost+found"))


@cache
def reads_heic() -> bool:
    """Say whether HEIC photos can be read, and teach Pillow to where they can."""
    if find_spec("pillow_heif") is None:
        return False
    import_module("pillow_heif").register_heif_opener()
    return True


def is_photo(name: str) -> bool:
    """Say whether a file is a photo that is read, by its name."""
    suffix = os.path.splitext(name)[1].lower()
    return not name.startswith(".") and (
        suffix in IMAGE_SUFFIXES or (suffix in _HEIC and reads_heic())
    )


def is_made(name: str) -> bool:
    """Say whether a folder is hidden, or made by a machine beside the photos."""
    return name.startswith(".") or name.lower() in _MADE


def missed(name: str) -> str | None:
    """Return the suffix of a file that is not read but may be a photo, otherwise None."""
    suffix = os.path.splitext(name)[1].lower()
    if name.startswith(".") or suffix in _BESIDE or is_photo(name):
        return None
    return suffix or "no suffix"


def missed_words(counts: Counter[str]) -> str:
    """Return how many files of which suffix are not read, and what reads them."""
    total = sum(counts.values())
    kinds = ", ".join(f"{suffix} {count:,}" for suffix, count in counts.most_common(5))
    heic = "; HEIC is read after pip install 'samix[heic]'" if _HEIC & set(counts) else ""
    packed = "; unpack what is packed" if ARCHIVES & set(counts) else ""
    return f"{total:,} {'file is' if total == 1 else 'files are'} not read ({kinds}){heic}{packed}"
