"""Pictures of pages for README and docs, taken by a headless Chromium.

python docs/screenshots.py PREVIEW REPORT    # folders of samix preview and samix poc, or pages
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from browser import Browser, chromium  # noqa: E402 - the browser of the tests

VIEWS = {  # name: file in the folder, width and height in px, what is at the top of the picture
    "preview": ("preview.html", 1440, 660, "#pair2"),
    "report": ("report.html", 1100, 760, "body"),
}


def take(browser: Browser, page: Path, name: str) -> Path:
    """Write the picture of a page, with few colours, and return where it is."""
    file, width, height, top = VIEWS[name]
    page = page / file if page.is_dir() else page
    browser.open(page, width, height)
    browser.run(f"document.querySelector({top!r}).scrollIntoView()")
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.png"
        browser.photograph(raw)
        picture = Image.open(io.BytesIO(raw.read_bytes())).convert("RGB")
    place = HERE / "images" / f"{name}.png"
    picture.quantize(128, dither=Image.Dither.NONE).save(place, optimize=True)
    return place


def main(preview: str, report: str) -> None:
    """Take both pictures."""
    found = chromium()
    if found is None:
        raise SystemExit("chromium: expected on the PATH, found none; install it")
    with Browser(found) as browser:
        for name, page in (("preview", preview), ("report", report)):
            print(take(browser, Path(page), name))


if __name__ == "__main__":
    main(*sys.argv[1:3])
