"""`samix ui` as the other accounts and pages of a machine meet it: HTTP to the running server."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samix.data import open_images
from samix.preview.uploads import UploadLimits, Uploads

pytestmark = pytest.mark.slow
SECRET = b"nobody but its owner reads this"
JSON = "application/json"
FORM = "multipart/form-data; boundary=edge"
COMMAND = """
import sys
sys.addaudithook(lambda event, args: event == 'socket.connect' and
                 print('CONNECTED', args[1], file=sys.stderr, flush=True))
from samix.cli import main
sys.exit(main(['ui', '--data', 'photos', '--poc', 'poc']))
"""


def noise(seed: int) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    return Image.fromarray(values)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def form(*files: bytes, name: str = "photo.png") -> bytes:
    head = f'Content-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    return b"".join(b"--edge\r\n" + head.encode() + file + b"\r\n" for file in files) + b"--edge--"


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
        self.meet(int(found[1]), found[2])

    def meet(self, port: int, token: str) -> None:
        self.port, self.token, self.host = port, token, f"127.0.0.1:{port}"
        text = self.ask("GET", "/").text
        self.config = json.loads(re.search(r"gradio_config = (\{.*?\});</script>", text, re.S)[1])

    def said_now(self) -> str:
        self.said.append(self.process.stdout.readline())
        return self.said[-1]

    def ask(
        self, method: str, path: str, body: Any = None, *, token: bool = True, **headers: str
    ) -> Answer:
        """Ask with exactly these headers; names are written with _ in the place of -."""
        address = f"/{self.token}{path}" if token else path
        there = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        there.request(method, address, body, given, encode_chunked=hasattr(body, "__next__"))
        got = there.getresponse()
        answer = Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        there.close()
        return answer

    def drop_in(self, photo: bytes) -> dict[str, Any]:
        answer = self.ask("POST", "/gradio_api/upload", form(photo), Content_Type=FORM)
        assert answer.status == 200, answer.text
        return {"path": json.loads(answer.body)[0], "meta": {"_type": "gradio.FileData"}}

    def function(self, inputs: int) -> int:
        """The number of the first function with so many inputs: 7 mixes, 1 chooses, 0 draws."""
        return next(
            one["id"] for one in self.config["dependencies"] if len(one["inputs"]) == inputs
        )

    def call(self, values: list[Any], session: str = "s1", **changed: Any) -> Answer:
        """Join the queue; where that is let in, return what came of it."""
        call = {"data": values, "fn_index": self.function(len(values)), "session_hash": session}
        call |= changed
        answer = self.ask("POST", "/gradio_api/queue/join", json.dumps(call), Content_Type=JSON)
        if answer.status != 200:
            return answer
        return self.ask("GET", f"/gradio_api/queue/data?session_hash={call['session_hash']}")

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
    (folder / "poc").mkdir()
    (folder / "poc" / "poc.yaml").write_text("version: 1")
    (folder / "poc" / "report.html").write_text("<!doctype html><title>r</title><p>The report.")
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One page for all tests; at the end: where it connected to, and what it wrote."""
    started = Page(prepared(tmp_path_factory.mktemp("ui")))
    uploaded = Path(started.drop_in(png(noise(0)))["path"])
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
    assert not uploaded.parents[1].exists()


@pytest.fixture(scope="module")
def pair(page: Page) -> list[dict[str, Any]]:
    return [page.drop_in(png(noise(seed))) for seed in range(2)]


def routes() -> list[tuple[str, str]]:
    """Every way that the gradio at hand, whatever its version, could be asked."""
    from samix.preview.live_page import Context, create_app

    app = create_app(Context(("mixup",), Uploads(Path())), "token").app
    found = set()
    for route in leaves(app.routes):
        path = re.sub(r"\{[^}]*\}", "x", getattr(route, "path", "/x")).removeprefix("/token")
        found |= {(method, path) for method in getattr(route, "methods", None) or ["GET"]}
    return sorted(found)


def leaves(found: list[Any]) -> Iterator[Any]:
    """Routes themselves, out of applications and routers that hold others."""
    for route in found:
        inner = getattr(route, "routes", None) or getattr(
            getattr(route, "original_router", None), "routes", None
        )
        yield from leaves(inner) if inner else [route]


def test_the_user_gets_the_page_and_mixes(page, pair):
    answer = page.ask("GET", "/")
    assert answer.status == 200
    assert not re.search(r"<(?:script|link)[^>]+https?://(?!127)", answer.text)
    assert "fonts.googleapis" not in answer.text
    assert '"analytics_enabled":false' in answer.text.replace(" ", "")
    answer = page.call([*pair, "crack", "", 0.25, 0, ["mixup", "cutmix"]])
    assert answer.text.count("<article>") == 2
    assert "75 % partner, 25 % crack" in answer.text
    photo = page.ask("GET", f"/gradio_api/file={pair[0]['path']}")
    assert (photo.status, photo.body) == (200, png(noise(0)))
    chosen = json.loads(page.call([0], "s2").text.split("data: ")[-2])["output"]["data"]
    assert chosen[1] == "crack"
    assert page.call([chosen[0], pair[1], "", "", 0.5, 0, ["mixup"]]).text.count("<article>") == 1
    drawn = json.loads(page.call([], "s3").text.split("data: ")[-2])["output"]["data"]
    assert {drawn[0], drawn[1]} <= {0, 1, 2, 3}


def test_without_the_token_nothing_is_answered_but_one_sentence(page):
    found = routes()
    assert len(found) > 60
    for method, path in [*found, ("GET", "/report"), ("GET", f"/{page.token[:-1]}/")]:
        answer = page.ask(method, path, token=False)
        assert answer.status == 403, (method, path)
        if method != "HEAD":
            assert answer.text == (
                "This page opens with the whole address that 'samix ui' printed when it was "
                "started, token included; copy it from that terminal.\n"
            )
    other = ("x" + page.token, page.token[:-1], page.token.upper() + "x", f"/{page.token}", "")
    for token in other:
        assert page.ask("GET", f"/{token}/", token=False).status == 403
    for path in (f"/?token={page.token}", f"/x/../{page.token}/", f"/{page.token}"):
        assert page.ask("GET", path, token=False).status == 403
    for name in ("Cookie", "Authorization", "X_Forwarded_Prefix", "Referer"):
        given = {name: f"token={page.token}"}
        assert page.ask("GET", "/", token=False, **given).status == 403


def test_with_the_token_only_what_the_page_needs_is_there(page):
    """A new route of a new gradio is closed until someone opens it here."""
    inside = {
        (method, path) for method, path in routes()
        if page.ask(method, path).status not in (404, 405)
    }  # fmt: skip
    assert {path for method, path in inside if method == "POST"} == {
        "/gradio_api/upload", "/gradio_api/queue/join",
    }  # fmt: skip
    assert {path for method, path in inside if method in ("GET", "HEAD")} <= {
        "/", "/favicon.ico", "/manifest.json", "/theme.css", "/gradio_api/file=x",
        "/gradio_api/queue/data",
    }  # fmt: skip
    assert {method for method, _ in inside} <= {"GET", "HEAD", "POST"}
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        answer = page.ask(method, "/")
        assert (answer.status, "open it in a browser" in answer.text) == (405, True)
    for path in ("/assets/../secret.txt", "/assets/%2e%2e/x", "/static/.hidden", "/assets//x",
                 "/assets/a\\..\\x", "/config", "/gradio_api/info", "//",
                 "/gradio_api/file/x"):  # fmt: skip
        assert page.ask("GET", path).status == 404, path
    for query in ("", "?session_hash=../x", "?session_hash=a&x=1", "?session_hash="):
        assert page.ask("GET", f"/gradio_api/queue/data{query}").status == 400
    assert 'deep_link_state":"none' in page.ask("GET", "/?deep_link=x").text.replace(" ", "")


@pytest.mark.parametrize(
    "path",
    ["secret.txt", "secret.png", "photos/good/0.png", "photos/good/out.png", "poc/report.html",
     "/etc/hostname", "/proc/self/environ", "http://127.0.0.1:9/x", "file:///etc/hostname", "",
     "."],
)  # fmt: skip
def test_only_photos_that_were_dropped_in_are_given_out(page, pair, path):
    for told in (path, str(page.folder / path), f"{Path(pair[0]['path']).parent}/../../{path}"):
        answer = page.ask("GET", "/gradio_api/file=" + told.replace(" ", "%20"))
        assert answer.status in (403, 404)
        assert SECRET not in answer.body
    assert page.ask("GET", f"/gradio_api/proxy=http://127.0.0.1:9/{path}").status == 404


def test_a_link_beside_the_photos_that_were_dropped_in_is_not_followed(page, pair):
    link = Path(pair[0]["path"]).with_name("link.png")
    link.symlink_to(page.folder / "secret.png")
    answer = page.ask("GET", f"/gradio_api/file={link}")
    assert answer.status == 403
    assert answer.text.startswith("The photo is not among those that were dropped in here")
    answer = page.call([{"path": str(link)}, pair[1], "", "", 0.5, 0, ["mixup"]])
    assert answer.status == 400
    link.unlink()


def bad_inputs(page: Page, good: dict[str, Any]) -> Iterator[list[Any]]:
    """Inputs of the mixes of which one is not what the page sends."""
    photo = str(page.folder / "secret.png")
    file = {"path": photo, "meta": {"_type": "gradio.FileData"}}
    link = {**file, "path": "http://127.0.0.1:9/x.png"}
    whole = [good, good, "", "", 0.5, 0, ["mixup"]]
    no_photos = (file, {**file, "url": photo}, link, photo, [file], {"path": [photo]}, {}, 1, True)
    no_texts = (file, [file], {"value": file}, None, 1, True, "x" * 201, "\ud800")
    no_numbers = (file, [0.5], "0.5", True, float("nan"), float("inf"), 1e300, {"path": photo})
    no_lists = (file, "mixup", [file], [["mixup"]], [1], None, {"0": "mixup"})
    bad = {0: no_photos, 2: no_texts, 4: (*no_numbers, None), 5: no_numbers, 6: no_lists}
    for place, values in bad.items():
        for value in values:
            yield [*whole[:place], value, *whole[place + 1 :]]


def test_inputs_take_what_they_are_for_alone(page, pair):
    """A file that is named anywhere but where a dropped photo belongs is not even copied."""
    count = 0
    for data in bad_inputs(page, pair[0]):
        answer = page.call(data)
        assert answer.status == 400, data
        assert answer.text.endswith(".\n")
        assert answer.text.count("\n") == 1
        count += 1
    assert count > 30
    for data in ([{"path": str(page.folder / "secret.png")}], ["crack/0.png"], [True], [1.0]):
        assert page.call(data).status == 400
    kept = [path.read_bytes() for path in Path(pair[0]["path"]).parents[1].rglob("*.*")]
    assert png(noise(0)) in kept
    assert png(noise(77)) not in kept


def test_only_what_is_offered_is_opened(page, pair):
    """Policies and photos of the lists: a policy that is a path is not looked at."""
    assert page.call([*pair, "", "", 0.5, 0, ["fmix"]]).text.count("<article>") == 1
    for name in (str(page.folder / "poc"), "../poc", "samix", "poc", ""):
        answer = page.call([*pair, "", "", 0.5, 0, ["mixup", name]])
        assert (answer.status, "'policies' must be names of the list" in answer.text) == (400, True)
    out = [one["props"]["choices"] for one in page.config["components"]
           if one["type"] == "dropdown"]  # fmt: skip
    assert [key for key, _ in out[0]] == [key for key, _ in out[1]]
    assert [key for key, _ in out[0]] == ["crack/0.png", "crack/1.png", "good/0.png", "good/1.png"]
    images = open_images(page.folder / "photos")
    for position in (images.keys.index("good/out.png"), -1, 99, 10**30):
        answer = page.call([position])
        assert (answer.status, "must be a photo of the list, or none, got" in answer.text) == (
            400,
            True,
        )


def test_a_photo_that_becomes_a_link_is_not_followed(page):
    there = page.folder / "photos" / "crack" / "1.png"
    kept = there.read_bytes()
    there.unlink()
    there.symlink_to(page.folder / "secret.png")
    answer = page.call([1])
    assert "'crack/1.png' leads out of the folder of --data" in answer.text
    assert '"path"' not in answer.text
    there.unlink()
    there.write_bytes(kept)
    assert '"path"' in page.call([1]).text


def test_calls_that_the_page_does_not_make_are_refused(page, pair):
    whole = [*pair, "", "", 0.5, 0, ["mixup"]]
    for changed in ({"fn_index": 99}, {"fn_index": "0"}, {"fn_index": None}, {"fn_index": True},
                    {"session_hash": "../x"}, {"session_hash": None}, {"session_hash": "x" * 65},
                    {"data": whole[1:]}, {"data": {}}, {"data": None}):  # fmt: skip
        assert page.call(whole, **changed).status == 400, changed
    for body in (b"", b"[]", b"{", b"null", b"[" * 20_000, b"\xff", b'{"data": 1' + b"0" * 5000):
        answer = page.ask("POST", "/gradio_api/queue/join", body, Content_Type=JSON)
        assert answer.status == 400
        assert answer.text.startswith("The input 'call' must be a JSON object")
    answer = page.ask("POST", "/gradio_api/queue/join", b" " * 300_000, Content_Type=JSON)
    assert (answer.status, "more than 256 KiB" in answer.text) == (413, True)
    body = iter([b" " * 100_000] * 3)
    answer = page.ask("POST", "/gradio_api/queue/join", body, Transfer_Encoding="chunked")
    assert answer.status == 413


def test_another_origin_is_refused(page):
    own = f"http://{page.host}"
    others = ("null", f"http://127.0.0.1:{page.port + 1}", f"https://{page.host}", "http://evil",
              f"http://localhost:{page.port}", f"{own}.evil", "")  # fmt: skip
    for path, method in (("/", "GET"), ("/report", "GET"), ("/gradio_api/upload", "POST")):
        for origin in others:
            answer = page.ask(method, path, Origin=origin)
            assert (answer.status, "another page" in answer.text) == (403, True), origin
            assert "access-control-allow-origin" not in answer.headers
        for site in ("cross-site", "same-site", "x"):
            assert page.ask(method, path, Sec_Fetch_Site=site).status == 403
            frame = {"Sec_Fetch_Dest": "iframe", "Sec_Fetch_Mode": "navigate"}
            assert page.ask(method, path, Sec_Fetch_Site=site, **frame).status == 403
    answer = page.ask("GET", "/", Origin=own, Sec_Fetch_Site="same-origin")
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers
    # a link to the whole address, as in a mail or a terminal in the browser, opens the page
    assert (
        page.ask("GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document").status == 200
    )
    opened = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "document"}
    assert page.ask("GET", "/report", **opened).status == 403
    assert page.ask("POST", "/gradio_api/upload", **opened).status == 403


def test_another_name_is_refused(page):
    for host in ("elsewhere.example", f"evil.example:{page.port}", "127.0.0.1.evil.example", "",
                 f"127.0.0.1:{page.port}@evil", "[::1]", f"x@{page.host}",
                 "127.0.0.1:"):  # fmt: skip
        answer = page.ask("GET", "/", Host=host)
        assert answer.status == 400, host
    # another port of this machine leads here through a tunnel (ssh -L)
    for host in (page.host, f"localhost:{page.port}", "localhost", "127.0.0.1:9999"):
        assert page.ask("GET", "/", Host=host).status == 200
    with socket.create_connection(("127.0.0.1", page.port)) as there:
        there.sendall(f"GET /{page.token}/ HTTP/1.0\r\n\r\n".encode())
        assert b" 400 " in there.recv(100)


def test_there_are_no_web_sockets(page):
    answer = page.ask(
        "GET", "/", Connection="Upgrade", Upgrade="websocket",
        Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==", Sec_WebSocket_Version="13",
    )  # fmt: skip
    assert answer.status != 101


def test_headers_of_a_proxy_change_nothing(page):
    told = {"X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "https",
            "Forwarded": "host=evil.example", "X_Forwarded_For": "10.0.0.1"}  # fmt: skip
    assert "evil" not in page.ask("GET", "/", **told).text


def test_each_answer_keeps_the_page_to_itself(page, pair):
    for path in ("/", "/report", f"/gradio_api/file={pair[0]['path']}"):
        headers = page.ask("GET", path).headers
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'self'" in headers["content-security-policy"]
        assert "set-cookie" not in headers
        assert "server" not in headers
    assert "default-src 'self'" in page.ask("GET", "/").headers["content-security-policy"]
    rules = page.ask("GET", "/report").headers["content-security-policy"]
    assert "default-src 'none'" in rules
    assert "sandbox allow-scripts" in rules  # its scripts do not reach the page
    assert "allow-same-origin" not in rules


def test_the_report_is_the_file_of_the_study_alone(page):
    report = page.folder / "poc" / "report.html"
    assert "The report." in page.ask("GET", "/report").text
    kept = report.read_bytes()
    report.unlink()
    report.symlink_to(page.folder / "secret.txt")
    answer = page.ask("GET", "/report")
    assert answer.status == 404
    assert answer.text == "The report is no longer in the folder of --poc; start anew.\n"
    report.unlink()
    report.write_bytes(kept)
    assert page.ask("GET", "/report").status == 200
    assert page.ask("GET", "/report?path=../secret.txt").text.count("The report.") == 1


def upload(page: Page, body: Any, **headers: str) -> Answer:
    return page.ask("POST", "/gradio_api/upload", body, **{"Content_Type": FORM, **headers})


def test_uploads_have_limits(page):
    limits = UploadLimits()
    answer = upload(page, form(bytes(limits.photo_bytes + 1)))
    assert answer.status == 413
    assert answer.text == "The photo has more than 50 MiB; drop in a smaller one.\n"
    many = Image.new("1", (8200, 8000))  # a small file
    answer = upload(page, form(png(many)))
    assert answer.status == 413
    assert answer.text == "The photo has more than 64 million pixels; drop in a smaller one.\n"
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0\1\x86\xa0\0\1\x86\xa0\x08\0\0\0\0")
    head += chunk(b"IDAT", b"")
    assert upload(page, form(head)).status == 413  # it says that it has 100,000 x 100,000
    answer = upload(page, form(*[png(noise(0))] * 3))
    assert answer.status == 413
    assert answer.text == "3 photos at once are too many; drop in 2.\n"
    assert upload(page, form(*[b""] * 2000)).status in (400, 413)


def chunk(name: bytes, data: bytes) -> bytes:
    """A piece of a PNG file."""
    sum_ = zlib.crc32(name + data)
    return len(data).to_bytes(4, "big") + name + data + sum_.to_bytes(4, "big")


def test_a_request_that_is_too_long_is_refused_before_it_is_read(page):
    most = UploadLimits().request_bytes
    there = http.client.HTTPConnection("127.0.0.1", page.port, timeout=30)
    there.putrequest("POST", f"/{page.token}/gradio_api/upload")
    there.putheader("Content-Type", FORM)
    there.putheader("Content-Length", str(most + 1))
    there.endheaders()  # and no byte of it
    answer = there.getresponse()
    assert (answer.status, "more than 101 MiB" in answer.read().decode()) == (413, True)
    there.close()


def test_a_request_that_does_not_say_how_long_it_is_ends_at_the_limit(page):
    before = files_of(page)
    with socket.create_connection(("127.0.0.1", page.port), timeout=30) as there:
        there.sendall(
            f"POST /{page.token}/gradio_api/upload HTTP/1.1\r\nHost: {page.host}\r\n"
            f"Content-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        start = form(b"")[:-10]
        there.sendall(f"{len(start):x}\r\n".encode() + start + b"\r\n")
        piece = b"100000\r\n" + bytes(2**20) + b"\r\n"
        for _ in range(UploadLimits().request_bytes // 2**20 + 1):
            there.sendall(piece)
        assert there.recv(100).startswith(b"HTTP/1.1 413 ")  # before the request has an end
    assert files_of(page) == before


def test_what_is_no_photo_is_refused(page):
    before = files_of(page)
    for body in (b"no photo", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<script>1</script>"):
        answer = upload(page, form(body, name="photo.png"))
        assert answer.status == 400
        assert answer.text.startswith("The file is no photo; drop in ")
    for body, kind in ((b"x", FORM), (b"", FORM), (b"{}", JSON), (form(png(noise(0))), JSON),
                       (b'--edge\r\nContent-Disposition: form-data; name="files"\r\n\r\n'
                        b"/etc/hostname\r\n--edge--", FORM)):  # fmt: skip
        answer = upload(page, body, Content_Type=kind)
        assert answer.status == 400
        assert answer.text.count("\n") == 1
    assert files_of(page) == before


def test_a_photo_gets_a_name_of_our_own(page):
    answer = upload(page, form(png(noise(5)), name="../../../evil.html"))
    (path,) = json.loads(answer.body)
    assert re.fullmatch(r".*/samix-ui-\w+/[0-9a-f]{32}/photo\.png", path)
    assert (Path(path).parents[1].stat().st_mode & 0o777) == 0o700  # for other accounts: nothing


def files_of(page: Page) -> set[Path]:
    known = Path(page.drop_in(png(noise(0)))["path"])
    known.unlink()
    known.parent.rmdir()
    return set(known.parents[1].rglob("*.*"))


def test_the_token_is_random_and_in_one_line_alone(page, tmp_path):
    other = Page(prepared(tmp_path))
    uploaded = Path(other.drop_in(png(noise(0)))["path"])
    proc = Path(f"/proc/{other.process.pid}")
    if proc.exists():
        assert other.token not in (proc / "cmdline").read_text()
        assert other.token not in (proc / "environ").read_text()
    out, err = other.end(signal.SIGTERM)
    assert other.process.returncode == 128 + signal.SIGTERM
    assert not uploaded.parents[1].exists()
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
        data = [*pair, "", "", number / 20, number, ["mixup", "cutmix"]]
        answers.append(page.call(data, f"many{number}").text)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [text.count("<article>") for text in answers] == [2] * 20


def test_gradio_checks_the_paths_of_inputs_too(tmp_path):
    """Without the gate: the check of gradio itself, which mounting leaves off, is on."""
    import uvicorn

    from samix.preview.live_page import Context, create_app

    (tmp_path / "uploads").mkdir()
    secret = tmp_path / "secret.png"
    noise(77).save(secret)
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path / "uploads")
    gate = create_app(Context(("mixup",), Uploads(tmp_path / "uploads")), "token")
    there = socket.socket()
    there.bind(("127.0.0.1", 0))
    there.listen()
    server = uvicorn.Server(uvicorn.Config(gate.app, log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [there]})
    thread.start()
    try:
        page = Page.__new__(Page)
        page.meet(there.getsockname()[1], "token")
        file = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
        answer = page.call([file, file, "", "", 0.5, 0, ["mixup"]])
        assert answer.status == 200  # the gate is not there
        assert "not uploaded by a user" in answer.text
        assert not list((tmp_path / "uploads").rglob("*.png"))
    finally:
        del os.environ["GRADIO_TEMP_DIR"]
        server.should_exit = True
        thread.join()
