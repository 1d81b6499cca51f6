#!/usr/bin/env bash
# gradio 6.31.0, mounted below a path of a FastAPI application with mount_gradio_app(path="/x"): its page asks for the
# web manifest at the root of the host ("/manifest.json"), where nothing answers, and not below the path, where it lies.
# Scripts and styles of the same page are asked for relative to the path. Seen: "page asks: /manifest.json",
# "/manifest.json 404", "/x/manifest.json 200". Fails where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check gradio==6.31.0 fastapi httpx
cat > "$folder/show.py" <<'PY'
import re

import gradio as gr
from fastapi import FastAPI
from fastapi.testclient import TestClient

print("gradio", gr.__version__)
with gr.Blocks() as page:
    gr.Textbox(label="a")
client = TestClient(gr.mount_gradio_app(FastAPI(), page, path="/x", ssr_mode=False))
asked = re.search(r'href="([^"]*manifest\.json)"', client.get("/x/").text)
print("page asks:", asked.group(1) if asked else None)
for address in ("/manifest.json", "/x/manifest.json"):
    print(address, client.get(address).status_code)
PY
GRADIO_ANALYTICS_ENABLED=False "$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
grep -qx "page asks: /manifest.json" "$folder/seen"
grep -qx "/manifest.json 404" "$folder/seen"
grep -qx "/x/manifest.json 200" "$folder/seen"
