"""Makes docs/policies: a card for each policy, with a picture, and the table of all.

Facts come from the policies and their cards, judgement from docs/policies/notes.yaml,
pictures from the built-in photos. ``python docs/make_cards.py`` writes the pages, and what is
missing of pictures and times; ``--pictures`` draws all again, ``--time`` measures all again.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from policy_pictures import draw_picture

from samix.checking import mix_time, policy_of
from samix.policies import POLICIES, PolicyFacts, about_policy

HERE = Path(__file__).parent / "policies"
BATCH = (32, 3, 64, 64)
LABELS = {
    "area": "the area of the mask",
    "lam": "lam, as drawn",
    "content": "how much of the content of both is shown",
    "attention": "half the area, half the attention that the network pays to each in the mix",
}
SMALL = (
    '"resnet18",\n    stem="small",\n'
    '    model_kwargs={"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)},'
)
VIT = (
    '"vit_tiny_patch16_224",\n    stem="small",\n    image_size=32,\n'
    '    model_kwargs={"embed_dim": 12, "depth": 2, "num_heads": 2},'
)
ANYWHERE = """\
import torch
import samix

images, target = torch.rand(8, 3, 64, 64), torch.arange(8) % 4
policy = samix.create_policy("{name}"{options})
plan = policy.plan(images, generator=torch.Generator().manual_seed(0))
mixed = samix.blend(images, plan)
soft_target = samix.mix_targets(target, plan, num_classes=4)"""
INSIDE = """\
import torch
import samix

images, target = torch.rand(8, 3, 32, 32), torch.arange(8) % 4
method = samix.create_method(
    "supervised",
    policy="{name}",
    num_classes=4,
    backbone={backbone}
)
step = method(images, target)
step.loss.backward()"""


def card(facts: PolicyFacts, notes: dict[str, Any], times: dict[str, Any]) -> str:
    """Return the card of a policy as Markdown.

    Args:
        facts: What the policy says of itself.
        notes: Its entry in notes.yaml; empty where nobody judged it yet.
        times: Its entry in times.json; empty where it was not measured.
    """
    name = facts.name
    parts = [
        f"# {name}",
        facts.card.sentence,
        f"![{_caption(facts)}](images/{name}.webp)",
        f"*{_caption(facts)}*",
        glance(facts, times),
        "## How to use",
        f"```sh\n{commands(facts)}\n```",
        f"```python\n{code(facts)}\n```",
        *_judged(notes),
        "## Hyper-parameters",
        f"To begin with: {notes['start']}" if notes else "",
        options(facts),
        "## Source",
        source(facts),
        "[All policies](table.md) - [labels, pairs and an end of mixing](../policies.md) - "
        "[does it do what its labels say?](../check_policy.md)",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def glance(facts: PolicyFacts, times: dict[str, Any]) -> str:
    """Return the table of what a policy is and costs."""
    traits = facts.traits
    what = "features inside the network" if traits.seam == "feature" else "pixels"
    made = {
        "pair": f"{what} of two images",
        "history": f"{what} of an image and of an earlier mix",
        "many": f"{what} of many images",
    }
    rows = {
        "mixes": made[traits.sources] if traits.mixes else "nothing",
        "label uses": LABELS[traits.label],
        "lam": lam(facts),
        "needs": facts.needs,
        "works": facts.where,
        "cost": facts.cost + (f"; {measured(times)}" if times else ""),
    }
    lines = [f"| {key} | {value} |" for key, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def lam(facts: PolicyFacts) -> str:
    """Return in words where lam comes from."""
    if not facts.traits.mixes:
        return "1"
    if not facts.traits.draws_lam:
        return "follows from the photos, or fixed"
    if "alpha" in facts.options and facts.traits.sources == "pair":
        return "drawn for each sample"
    return "the area that is shown; how large it is, is drawn for each sample"


def measured(times: dict[str, Any]) -> str:
    """Return a measured time in words."""
    batch, _, side, _ = BATCH
    text = f"{times['ms']:.3g} ms for {batch} images of {side} px on one thread"
    return text if times["mixups"] == 1 else f"{text}, {times_mixup(times['mixups'])} times mixup"


def times_mixup(ratio: float) -> str:
    """Return a multiple of mixup's time with two digits."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"


def commands(facts: PolicyFacts) -> str:
    """Return commands that use a policy."""
    name = facts.name
    lines = [f"samix train photos/ --policy {name}", f"samix check-policy {name} photos/"]
    if facts.where.startswith("everywhere") and facts.traits.mixes:
        lines.insert(0, f"samix preview photos/ --policy {name}")
    return "\n".join(lines)


def code(facts: PolicyFacts) -> str:
    """Return Python that uses a policy, and that the tests run."""
    if facts.where.startswith("everywhere"):
        given = {key: value for key, value in facts.options.items() if value is not None}
        shown = "".join(f", {key}={value!r}" for key, value in list(given.items())[:1])
        return ANYWHERE.format(name=facts.name, options=shown)
    transformer = "attention" in facts.traits.needs or facts.traits.label == "attention"
    return INSIDE.format(name=facts.name, backbone=VIT if transformer else SMALL)


def options(facts: PolicyFacts) -> str:
    """Return the table of a policy's options."""
    if not facts.options:
        return "It has none."
    lines = ["| option | default | meaning |", "|---|---|---|"]
    for key, default in facts.options.items():
        shown = f"{default:.4g}" if isinstance(default, float) else str(default)
        lines.append(f"| `{key}` | {shown} | {facts.meaning.get(key, facts.card.sentence)} |")
    return "\n".join(lines)


def source(facts: PolicyFacts) -> str:
    """Return where a policy comes from, and how it departs from there."""
    if not facts.card.source:
        return "It is no published method."
    linked = facts.card.source
    if facts.paper:
        number = facts.paper.rpartition("/")[2]
        linked = linked.replace(f"arXiv {number}", f"[arXiv {number}]({facts.paper})", 1)
    return f"{linked[0].upper()}{linked[1:]}. {facts.card.notes}".strip()


def table(all_facts: list[PolicyFacts], times: dict[str, Any]) -> str:
    """Return the page with the table of all policies."""
    lines = [
        "# All policies",
        "",
        "Each has a card with a picture. *Time* is that of planning and blending "
        f"{BATCH[0]} images of {BATCH[2]} px on one thread of a CPU, as a multiple of mixup's (of "
        "feature maps 16 x 8 x 8 for what mixes inside the network). What a network has to find "
        "out before is not in it: see *needs*.",
        "",
        "| policy | what it does | label uses | needs | time | source |",
        "|---|---|---|---|---|---|",
    ]
    for facts in all_facts:
        number = facts.paper.rpartition("/")[2] if facts.paper else ""
        authors = facts.card.source.partition('"')[0].rstrip(", ")
        paper = f"[{number}]({facts.paper})" if number else authors or "the control"
        taken = times["policies"].get(facts.name, {}).get("mixups")
        cells = (
            f"[{facts.name}]({facts.name}.md)",
            facts.card.sentence,
            facts.traits.label if facts.traits.mixes else "-",
            facts.needs.replace("nothing but the images", "images"),
            times_mixup(taken) if taken else "-",
            paper,
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"Measured with `python docs/make_cards.py --time`: {times['machine']}."]
    return "\n".join(lines) + "\n"


def _caption(facts: PolicyFacts) -> str:
    text = "Built-in photos: original, partner, mask (white shows the original), mix and label."
    if facts.traits.label == "attention":
        text += " The label here is the area: the attention is known in training alone."
    if facts.traits.learned:
        return f"{text} The masks are those of the Mixer of samix-p; a run learns its own."
    if facts.traits.seam == "feature":
        return f"{text} Small photos stand for the features that are mixed inside the network."
    if facts.traits.sources == "many":
        text += " The partner is the image with the next largest share."
    if facts.traits.needs:
        return f"{text} What a network would know of the photos was made of their pixels here."
    return text


def _judged(notes: dict[str, Any]) -> list[str]:
    """Return what is judged by hand, where somebody did."""
    if not notes:
        return []
    return ["## Good at", *_listed(notes["good"]), "## Bad at", *_listed(notes["bad"])]


def _listed(points: list[str]) -> list[str]:
    return ["\n".join(f"- {point}" for point in points)]


def measure(names: Sequence[str]) -> dict[str, Any]:
    """Return how long policies take on this machine.

    Args:
        names: Of the policies; mixup is measured with them, for the ratio.
    """
    torch.set_num_threads(1)
    images = torch.rand(*BATCH, generator=torch.Generator().manual_seed(0))
    found = {}
    for name in dict.fromkeys(("mixup", *names)):
        policy = policy_of(name)
        # time of the thread, and the best of some: a machine does other things, too
        taken = [
            mix_time(policy, images, repeats=9, most=4, clock=time.thread_time).seconds
            for _ in range(5)
        ]
        found[name] = 1000 * min(taken)
    ratios = {name: round(ms / found["mixup"], 2) for name, ms in found.items()}
    return {name: {"ms": round(found[name], 3), "mixups": ratios[name]} for name in names}


def load(name: str) -> dict[str, Any]:
    """Return notes.yaml or times.json."""
    text = (HERE / name).read_text(encoding="utf-8")
    return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)


def pages(notes: dict[str, Any], times: dict[str, Any]) -> dict[str, str]:
    """Return the text of every page by its file name."""
    all_facts = [about_policy(name) for name in POLICIES]
    cards = {
        f"{facts.name}.md": card(
            facts, notes.get(facts.name, {}), times["policies"].get(facts.name, {})
        )
        for facts in all_facts
    }
    return {"table.md": table(all_facts, times), **cards}


def main() -> None:
    """Write the cards, the table and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", action="store_true", help="draw all pictures again")
    parser.add_argument("--time", action="store_true", help="measure all times again")
    chosen = parser.parse_args()
    notes, times = load("notes.yaml"), load("times.json")
    if chosen.time:
        torch_version = torch.__version__.split("+")[0]
        machine = f"one thread, {platform.machine()}, torch {torch_version}"
        times = {"machine": machine, "policies": {}}
    timed = [name for name in POLICIES if about_policy(name).traits.mixes]
    times["policies"] |= measure([name for name in timed if name not in times["policies"]])
    times["policies"] = {name: times["policies"][name] for name in timed}
    (HERE / "times.json").write_text(json.dumps(times, indent=1) + "\n", encoding="utf-8")
    (HERE / "images").mkdir(exist_ok=True)
    for name in POLICIES:
        path = HERE / "images" / f"{name}.webp"
        if chosen.pictures or not path.exists():
            draw_picture(name).save(path, quality=75, method=6)
    for name, text in pages(notes, times).items():
        (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
