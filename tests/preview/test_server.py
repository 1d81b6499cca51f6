"""`samix ui` as the other accounts and pages of a machine meet it: HTTP to the running server."""

from __future__ import annotations

import http.client
import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samix.data import open_images
from samix.preview.dropped import DropLimits
from tests.browser import Browser, chromium

pytestmark = pytest.mark.slow
SECRET = b"nobody but its owner reads this"
WAYS = (("GET", "/"), ("GET", "/page/0"), ("POST", "/mix"), ("POST", "/draw"), ("POST", "/photo"))
COMMAND = """
import sys
sys.addaudithook(lambda event, args: event == 'socket.connect' and
                 print('CONNECTED', args[1], file=sys.stderr, flush=True))
from samix.cli import main
sys.exit(main(['ui', '--data', 'photos', '--runs', 'runs', '--lang', 'both']))
"""


def noise(seed: int) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    return Image.fromarray(values)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Page:
    """The command, started in a folder, and what its user would see of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", COMMAND], cwd=folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.said: list[str] = []
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)/(\w+)/", self.said_now())):
            assert self.process.poll() is None, self.process.communicate()
        self.port, self.token = int(found[1]), found[2]
        self.host, self.address = f"127.0.0.1:{self.port}", found[0]

    def said_now(self) -> str:
        self.said.append(self.process.stdout.readline())
        return self.said[-1]

    def ask(
        self, method: str, path: str, body: Any = None, *, token: bool = True, **headers: str
    ) -> Answer:
        """Ask with exactly these headers; names are written with _ in the place of -."""
        address = f"/{self.token}{path}" if token else path
        there = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        there.request(method, address, body, given, encode_chunked=hasattr(body, "__next__"))
        got = there.getresponse()
        answer = Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        there.close()
        return answer

    def drop_in(self, photo: bytes) -> str:
        answer = self.ask("POST", "/photo", photo)
        assert answer.status == 200, answer.text
        return str(json.loads(answer.body))

    def mix(self, *sides: Any, **changed: Any) -> Answer:
        asked = {"sides": list(sides), "lam": 0.25, "seed": 0, "policies": ["mixup", "cutmix"]}
        return self.ask("POST", "/mix", json.dumps(asked | changed))

    def end(self, number: signal.Signals) -> tuple[str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return "".join(self.said) + out, err


def prepared(folder: Path) -> Path:
    """A folder with photos, links out of it, a finished study and a secret beside them."""
    for name in ("crack", "good"):
        (folder / "photos" / name).mkdir(parents=True)
        for seed in range(2):
            noise(seed).save(folder / "photos" / name / f"{seed}.png")
    (folder / "secret.png").write_bytes(png(noise(77)))
    (folder / "secret.txt").write_bytes(SECRET)
    (folder / "photos" / "good" / "out.png").symlink_to(folder / "secret.png")
    (folder / "runs" / "poc").mkdir(parents=True)
    (folder / "runs" / "poc" / "report.html").write_text("<!doctype html><title>r</title><p>Report")
    (folder / "runs" / "check.html").symlink_to(folder / "secret.txt")
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One page for all tests; at the end: where it connected to, and what it wrote."""
    started = Page(prepared(tmp_path_factory.mktemp("ui")))
    try:
        yield started
    finally:
        out, err = started.end(signal.SIGINT)
    assert started.process.returncode == 0
    assert out.endswith("Ended.\n")
    assert out.count(started.token) == 1
    assert started.token not in err
    assert "CONNECTED" not in err
    assert "Traceback" not in err, err
    assert SECRET.decode() not in out + err


@pytest.fixture(scope="module")
def pair(page: Page) -> list[dict[str, Any]]:
    names = (page.drop_in(png(noise(seed))) for seed in range(2))
    return [{"photo": photo, "name": name} for photo, name in zip(names, ("crack", ""))]  # noqa: B905


def test_the_page_opens_with_a_pair_under_three_policies(page):
    answer = page.ask("GET", "/")
    assert answer.status == 200
    assert not re.search(r"(?:src|href)=\"(?:https?:|//)", answer.text)
    assert answer.text.count('<div class="strip">') == 1 + 3
    assert answer.text.count("data:image/png") == 2 + 2 * 3
    for words in ("crack/0.png", "Side by side", "比較", "page/0", "report of a study"):
        assert words in answer.text, words
    assert "out.png" not in answer.text
    assert page.ask("HEAD", "/").body == b""


def test_the_user_gets_mixes_of_photos_of_the_list_and_of_their_own(page, pair):
    answer = page.mix(*pair)
    assert answer.text.count('<div class="strip">') == 1 + 2
    assert "75\u00a0% partner, 25\u00a0% crack" in answer.text
    listed = page.mix({"position": 0}, {"position": 3, "name": "<b>"})
    assert "25\u00a0% crack" in listed.text
    assert "&lt;b&gt;" in listed.text
    assert "at least one policy" in page.mix(*pair, policies=[]).text
    assert set(json.loads(page.ask("POST", "/draw", "").body)) <= {0, 1, 2, 3}


def test_without_the_token_nothing_is_answered_but_one_sentence(page):
    for method, path in [*WAYS, ("GET", f"/{page.token[:-1]}/"), ("HEAD", "/")]:
        answer = page.ask(method, path, token=False)
        assert answer.status == 403, (method, path)
        assert method == "HEAD" or answer.text == (
            "This page opens with the whole address that 'samix ui' printed when it was "
            "started, token included; copy it from that terminal."
        )
    for token in ("x" + page.token, page.token[:-1], page.token.upper() + "x", "%C3%A9", ""):
        assert page.ask("GET", f"/{token}/", token=False).status == 403
    with socket.create_connection(("127.0.0.1", page.port)) as there:
        there.sendall(f"GET /\u00e9/ HTTP/1.1\r\nHost: {page.host}\r\n\r\n".encode())
        assert b" 403 " in there.recv(100)
    for path in (f"/?token={page.token}", f"/x/../{page.token}/"):
        assert page.ask("GET", path, token=False).status == 403
    for name in ("Cookie", "Authorization", "X_Forwarded_Prefix", "Referer"):
        assert page.ask("GET", "/", token=False, **{name: f"token={page.token}"}).status == 403


def test_with_the_token_only_what_the_page_needs_is_there(page):
    for path in ("/secret.txt", "/../secret.txt", "/page/", "/page/x", "/page/0/../0", "/page/1",
                 "/page/99", "/page/-1", "//", "/photos/good/0.png", "/mix/", "/?x=1",
                 "/page/1234567890"):  # fmt: skip
        answer = page.ask("GET", path)
        assert answer.status in (400, 404), path
        assert SECRET not in answer.body
    for method, path in (("GET", "/mix"), ("GET", "/photo"), ("POST", "/"), ("POST", "/page/0")):
        assert page.ask(method, path, "{}" if method == "POST" else None).status == 405
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"):
        answer = page.ask(method, "/")
        assert (answer.status, "open the page in a browser" in answer.text) == (501, True)


def test_inputs_take_what_they_are_for_alone(page, pair):
    one, other = pair
    for side in (None, 1, "x", [], {}, {"photo": "x" * 32}, {"photo": 5}, {"position": True},
                 {"position": 1.0}, {"position": "0"}, {"position": -1}, {"position": 99},
                 {"position": 10**30}, {**one, "name": 5}, {**one, "name": "x" * 201},
                 {**one, "name": "\ud800"}, {"photo": str(page.folder / "a.png")}):  # fmt: skip
        answer = page.mix(side, other)
        assert (answer.status, answer.text[-1]) == (400, "."), side
    for changed in ({"lam": None}, {"lam": True}, {"lam": "0.5"}, {"lam": 1.5}, {"lam": -1},
                    {"seed": 0.5}, {"seed": -1}, {"seed": None}, {"seed": 2**60},
                    {"policies": "mixup"}, {"policies": [["mixup"]]}, {"policies": None},
                    {"policies": ["samix"]}, {"policies": ["runs/poc"]}, {"sides": [one]},
                    {"sides": {"0": one}}):  # fmt: skip
        answer = page.mix(one, other, **changed)
        assert (answer.status, answer.text[-1]) == (400, "."), changed
    for body in (b"", b"[]", b"{", b"null", b"[" * 10_000, b"\xff", b'{"sides": 1'):
        assert page.ask("POST", "/mix", body).status == 400
    # a name that only JSON can hold: not a number
    assert page.ask("POST", "/mix", b'{"sides": [], "lam": NaN}').status == 400


def test_a_photo_that_becomes_a_link_is_not_followed(page):
    there = page.folder / "photos" / "crack" / "1.png"
    keys = open_images(page.folder / "photos").keys
    assert page.mix({"position": keys.index("good/out.png")}, {"position": 0}).status == 400
    kept = there.read_bytes()
    there.unlink()
    there.symlink_to(page.folder / "secret.png")
    place = {"position": keys.index("crack/1.png")}
    answer = page.mix(place, {"position": 0})
    assert "'crack/1.png' leads out of the folder of --data" in answer.text
    there.unlink()
    there.write_bytes(kept)
    assert page.mix(place, {"position": 0}).status == 200


def test_another_origin_is_refused(page):
    own = f"http://{page.host}"
    others = ("null", f"http://127.0.0.1:{page.port + 1}", f"https://{page.host}", "http://evil",
              f"http://localhost:{page.port}", f"{own}.evil", "")  # fmt: skip
    for method, path in WAYS:
        body = "{}" if method == "POST" else None
        for origin in others:
            answer = page.ask(method, path, body, Origin=origin)
            assert (answer.status, "another page" in answer.text) == (403, True), origin
            assert "access-control-allow-origin" not in answer.headers
        for site in ("cross-site", "same-site", "x"):
            if path != "/":  # a link to the whole address, as in a mail, opens the page
                assert page.ask(method, path, body, Sec_Fetch_Site=site).status == 403
    assert page.ask("GET", "/", Sec_Fetch_Site="cross-site").status == 200
    assert page.ask("GET", "/", Origin=own, Sec_Fetch_Site="same-origin").status == 200


def test_another_name_is_refused(page):
    for host in ("elsewhere.example", f"evil.example:{page.port}", "127.0.0.1.evil.example", "",
                 f"127.0.0.1:{page.port}@evil", "[::1]", f"x@{page.host}",
                 "127.0.0.1:"):  # fmt: skip
        assert page.ask("GET", "/", Host=host).status == 400, host
    # another port of this machine leads here through a tunnel (ssh -L)
    for host in (page.host, f"localhost:{page.port}", "localhost", "127.0.0.1:9999"):
        assert page.ask("GET", "/", Host=host).status == 200
    with socket.create_connection(("127.0.0.1", page.port)) as there:
        there.sendall(f"GET /{page.token}/ HTTP/1.0\r\n\r\n".encode())
        assert b" 400 " in there.recv(100)


def test_each_answer_keeps_the_page_to_itself(page):
    for path in ("/", "/page/0"):
        headers = page.ask("GET", path).headers
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "set-cookie" not in headers
        assert headers["server"].strip() == "samix"
    rules = page.ask("GET", "/page/0").headers["content-security-policy"]
    assert "default-src 'none'" in rules
    assert "sandbox allow-scripts" in rules  # its scripts do not reach the page
    assert "allow-same-origin" not in rules


def test_a_report_is_a_file_of_its_folder_alone(page):
    report = page.folder / "runs" / "poc" / "report.html"
    assert "<p>Report" in page.ask("GET", "/page/0").text
    kept = report.read_bytes()
    report.unlink()
    report.symlink_to(page.folder / "secret.txt")
    answer = page.ask("GET", "/page/0")
    assert answer.text == "The page is no longer in its folder; start samix ui anew."
    report.unlink()
    report.write_bytes(kept)
    assert page.ask("GET", "/page/0").status == 200


def chunk(name: bytes, data: bytes) -> bytes:
    """A piece of a PNG file."""
    sum_ = zlib.crc32(name + data)
    return len(data).to_bytes(4, "big") + name + data + sum_.to_bytes(4, "big")


def test_photos_have_limits(page):
    many = Image.new("1", (8200, 8000))  # a small file
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0\1\x86\xa0\0\1\x86\xa0\x08\0\0\0\0")
    for photo in (png(many), head + chunk(b"IDAT", b"")):  # it says that it has 100,000 x 100,000
        answer = page.ask("POST", "/photo", photo)
        assert answer.status == 413
        assert answer.text == "The photo has more than 64 million pixels; drop in a smaller one."
    for body in (b"no photo", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"", b"/etc/hostname"):
        answer = page.ask("POST", "/photo", body)
        assert answer.status == 400
        assert answer.text.startswith("The file is no photo; drop in ")
    answer = page.ask("POST", "/photo", png(noise(0))[:500])
    assert "cannot be read" in answer.text


def test_a_request_that_is_too_long_is_refused_before_it_is_read(page):
    there = http.client.HTTPConnection("127.0.0.1", page.port, timeout=30)
    there.putrequest("POST", f"/{page.token}/photo")
    there.putheader("Content-Length", str(DropLimits().photo_bytes + 1))
    there.endheaders()  # and no byte of it
    answer = there.getresponse()
    assert (answer.status, "more than 50 MiB" in answer.read().decode()) == (413, True)
    there.close()
    with socket.create_connection(("127.0.0.1", page.port)) as there:
        there.sendall(
            f"POST /{page.token}/mix HTTP/1.1\r\nHost: {page.host}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        assert b" 411 " in there.recv(100)
    for length in ("-1", "x", "1e3", ""):
        assert page.ask("POST", "/mix", b"{}", Content_Length=length).status in (400, 411)


def test_the_token_is_random_and_in_one_line_alone(page, tmp_path):
    other = Page(prepared(tmp_path))
    proc = Path(f"/proc/{other.process.pid}")
    if proc.exists():
        assert other.token not in (proc / "cmdline").read_text()
        assert other.token not in (proc / "environ").read_text()
    other.said_now()  # what it says about the address
    out, err = other.end(signal.SIGINT)
    assert len(page.token) == len(other.token) == 32
    assert page.token != other.token
    assert out.count(other.token) == 1
    assert "Not offered: 1 photos whose links lead out of 'photos'." in out
    assert "keep it to yourself" in out
    assert other.token not in err
    assert "Traceback" not in err


def test_many_at_once_are_all_answered(page, pair):
    answers: list[str] = []

    def ask(number: int) -> None:
        answers.append(page.mix(*pair, lam=number / 20, seed=number).text)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [text.count('<div class="strip">') for text in answers] == [3] * 20


@pytest.mark.skipif(chromium() is None, reason="needs Chromium on the PATH or in CHROMIUM")
@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_in_a_browser(page, width):
    with Browser(str(chromium())) as browser:
        browser.open_address(page.address, width)

        def settled(script: str) -> bool:
            end = time.monotonic() + 30
            while not (done := browser.run(script)) and time.monotonic() < end:
                time.sleep(0.1)
            return bool(done)

        mixes = "document.getElementById('mixes')"
        assert browser.run(f"{mixes}.querySelectorAll('.strip').length") == 4
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
        browser.run(
            "var lam = document.getElementById('lam'); lam.value = '0.2';"
            "lam.dispatchEvent(new Event('input', {bubbles: true})); 1"
        )
        assert settled(f"{mixes}.innerText.includes('lam 0.20')")
        browser.run("document.querySelector('[value=fmix]').click(); 1")
        assert settled(f"{mixes}.querySelectorAll('.strip').length === 5")
        browser.run(DROP)
        assert settled("document.querySelector('[data-side=\"0\"] select').value === ''")
        assert settled(f"{mixes}.innerText.includes('original\\n')")
        browser.run("document.getElementById('another').click(); 1")
        assert settled("document.querySelector('[data-side=\"0\"] select').value !== ''")
        assert browser.run("document.getElementById('problem').textContent") == ""
        assert [
            one for one in browser.requests() if not one.startswith((page.address, "data:"))
        ] == []
        assert browser.errors() == []


DROP = """
(async () => {
  const canvas = document.createElement('canvas');
  canvas.width = 300; canvas.height = 200;
  const file = await new Promise(done => canvas.toBlob(done));
  const moved = new DataTransfer();
  moved.items.add(new File([file], 'x.png'));
  const input = document.querySelector('[data-side="0"] [type=file]');
  input.files = moved.files;
  input.dispatchEvent(new Event('change'));
})(); 1
"""
