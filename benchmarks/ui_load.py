"""Many requests at once on `samix ui`: are all answered, and does the memory come back?

Starts the page, drops two photos in with each request, asks for their mixes, all at the same time,
and reads the resident memory of the server (Linux: /proc) before, at its highest and afterwards:

    python benchmarks/ui_load.py --requests 200 --rounds 3
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

_POLICIES = ["mixup", "cutmix", "samix-p"]
_WAIT = 600  # seconds that one answer may take


class Page:
    """A page that was started, and what its browser would know about it."""

    def __init__(self) -> None:
        command = [sys.executable, "-u", "-c", "from samix.cli import main; main(['ui'])"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = self.process.stdout.readline() if self.process.stdout else ""
        found = re.search(r"http://([\d.]+:\d+)(/\w+)/", said)
        if found is None:
            raise SystemExit(f"the page did not start: {said!r}")
        self.host, self.root = found.groups()

    def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Ask the page and return its whole answer."""
        there = http.client.HTTPConnection(self.host, timeout=_WAIT)
        there.request(method, self.root + path, body)
        answer = there.getresponse()
        text = answer.read()
        there.close()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {text.decode()}")
        return text

    def drop_in(self, photo: bytes) -> dict[str, Any]:
        """Drop a photo in and return what stands for it."""
        return {"photo": json.loads(self.ask("POST", "/photo", photo))}

    def mix(self, photos: list[dict[str, Any]]) -> int:
        """Ask for the mixes of two photos and return how many came."""
        asked = {"sides": photos, "lam": 0.5, "seed": 0, "policies": _POLICIES}
        text = self.ask("POST", "/mix", json.dumps(asked).encode()).decode()
        return text.count('<div class="strip">') - 1  # the photos themselves

    def memory(self) -> float:
        """Return the resident memory of the server in MiB."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024


def photo(seed: int) -> bytes:
    """Return a photo of 640 x 480 pixels of noise, as a PNG file."""
    values = np.random.default_rng(seed).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def one_round(page: Page, requests: int, photos: list[bytes]) -> tuple[int, float]:
    """Send all requests at once; return how many were answered in full, and the highest memory."""
    highest, ended = page.memory(), threading.Event()

    def watch() -> None:
        nonlocal highest
        while not ended.wait(0.1):
            highest = max(highest, page.memory())

    def one(index: int) -> bool:
        pair = [page.drop_in(photos[(index + side) % len(photos)]) for side in range(2)]
        return page.mix(pair) == len(_POLICIES)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(requests) as pool:
        answered = sum(pool.map(one, range(requests)))
    ended.set()
    watcher.join()
    return answered, highest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wait", type=float, default=20, help="seconds before the last reading")
    chosen = parser.parse_args()
    photos = [photo(seed) for seed in range(8)]
    page = Page()
    try:
        one_round(page, 2, photos)  # everything is loaded and warm
        print(f"before: {page.memory():.0f} MiB resident, after 2 requests")
        for number in range(1, chosen.rounds + 1):
            began = time.perf_counter()
            answered, highest = one_round(page, chosen.requests, photos)
            took = time.perf_counter() - began
            print(
                f"round {number}: {answered} of {chosen.requests} answered in {took:.0f} s, "
                f"highest {highest:.0f} MiB, at the end {page.memory():.0f} MiB",
                flush=True,
            )
        time.sleep(chosen.wait)
        print(f"{chosen.wait:.0f} s later: {page.memory():.0f} MiB")
    finally:
        page.process.terminate()
        page.process.wait()


if __name__ == "__main__":
    main()
