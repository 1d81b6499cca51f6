from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import samix
from samix.cli import main
from samix.cli.mixer import config_from
from samix.networks import DEFAULT_MIXER, built_in_mixers, open_mixer
from samix.presets import load_preset

from .test_pretrain import TINY, somewhere_else
from .test_train import complaint, photos

__all__ = ["somewhere_else"]  # a fixture
DEMO = "demo:photos_per_class=10,size=16"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of samix mixer train on two sets, with its Mixer; it is not to be changed."""
    output = tmp_path_factory.mktemp("mixer") / "run"
    words = ["mixer", "train", DEMO, f"{DEMO},seed=2", *TINY, "--licence", "mit"]
    assert main([*words, "--output", str(output)]) == 0
    return output


def test_train_writes_a_mixer_that_mixes(run):
    policy = samix.create_policy(str(run / "mixer"))
    record = policy.mixer.record
    assert [line.partition(": ")[0] for line in record["data"]] == [DEMO, f"{DEMO},seed=2"]
    assert record["licence"] == "mit"
    assert json.loads((run / "model.json").read_text())["standardise"] is True
    assert {"README.md", "config.json", "model.safetensors"} == {
        path.name for path in (run / "mixer").iterdir()
    }


def test_train_says_where_it_is_and_a_finished_run_is_shown_again(run, capsys):
    words = ["mixer", "train", "--resume", "--output", str(run)]
    before = (run / "mixer" / "model.safetensors").stat().st_mtime_ns
    assert main(words) == 0
    out = capsys.readouterr().out
    for word in (
        "finished already", "Held-out loss", "Mixer", f"samix mixer inspect {run / 'mixer'}",
        f"samix train DATA --policy {run / 'mixer'}",
    ):  # fmt: skip
        assert word in out
    assert (run / "mixer" / "model.safetensors").stat().st_mtime_ns == before
    assert "--epochs 9" in complaint([*words, "--epochs", "9"], capsys)


def test_train_is_a_pretraining_with_a_preset_of_its_own():
    config = config_from({"data": "photos", "alpha": 1.0})
    preset = load_preset("mixer", "pretrain")
    assert (config.preset, config.policy, config.standardise) == ("mixer", "samix", True)
    assert config.policy_options == {"alpha": 1.0}
    assert config.model_kwargs == preset["model_kwargs"]
    assert config_from({"data": "photos", "preset": "quick"}).standardise is True
    assert config.cost == "full"
    assert config_from({"data": "photos", "cost": "fast"}).cost == "fast"


def test_the_help_of_train_names_what_its_preset_sets(capsys):
    with pytest.raises(SystemExit):
        main(["mixer", "train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    of = load_preset("mixer", "pretrain")
    assert (
        f"photos of {of['image_size']} px, batches of {of['batch_size']}, {of['epochs']} epochs, "
        f"{of['optimizer']} with learning rate {of['lr']} and weight decay {of['weight_decay']}, "
        f"alpha {of['policy_options']['alpha']:g}, cost {of['cost']}."
    ) in text


def test_the_mixer_is_a_policy_of_runs(run):
    words = [*TINY, "--labels-per-class", "2"]
    assert main(["train", DEMO, *words, "--policy", str(run / "mixer"), "--output", "one"]) == 0
    mixer = f"mixer={run / 'mixer'}"
    more = ["--policy", "samix-p", "--policy-options", mixer, "--alpha", "1.0", "--output", "two"]
    assert main(["train", DEMO, *words, *more]) == 0
    photos("photos")
    assert main(["pretrain", "photos", *TINY, "--policy", "samix-p", "--output", "three"]) == 0
    for name in ("one", "two", "three"):
        assert Path(name, "mixes.png").is_file()
        assert json.loads(Path(name, "metrics.json").read_text())["mixer"] is None


def test_export_of_a_run(run, capsys):
    assert main(["mixer", "export", str(run), "--output", "taken"]) == 0
    out = capsys.readouterr().out
    assert "samix train DATA --policy taken" in out
    first, second = (open_mixer(folder) for folder in (run / "mixer", "taken"))
    assert all((a == b).all() for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert "| Licence | not stated |" in Path("taken/README.md").read_text()
    assert [path.name for path in Path().iterdir()] == ["taken"]


def test_inspect_prints_the_card_and_draws(run, capsys):
    assert main(["mixer", "inspect", DEFAULT_MIXER]) == 0
    out = capsys.readouterr().out
    for word in (
        "built in; samix-p takes it", "Tap", "Widths", "81,048", "Trained on", "Objective", "Date",
        "Seeds", "apache-2.0", "ok (SHA-256", "passed: masks of 3 pairs",
    ):  # fmt: skip
        assert word in out
    page = Path(f"mixer-{DEFAULT_MIXER}.html").read_text("utf-8")
    assert page.count("data:image/png") > 20
    assert "マスクと混合画像" in page
    assert main(["mixer", "inspect", DEFAULT_MIXER]) == 0
    assert Path(f"mixer-{DEFAULT_MIXER}-2.html").is_file()
    photos("photos")
    own = ["mixer", "inspect", str(run / "mixer"), "--data", "photos", "--output", "own.html"]
    assert main(own) == 0
    assert Path("own.html").is_file()


def test_list_shows_those_of_the_package_and_below_a_folder(run, capsys):
    assert main(["mixer", "list"]) == 0
    out = capsys.readouterr().out
    for name in built_in_mixers():
        assert f"\n{name}\n" in out
    assert "labels: none" in out
    assert main(["mixer", "list", str(run.parent)]) == 0
    assert f"\n{run / 'mixer'}\n" in capsys.readouterr().out
    Path("empty").mkdir()
    assert main(["mixer", "list", "empty"]) == 0
    assert "  none\n" in capsys.readouterr().out


def test_list_shows_data_that_is_one_sentence(capsys):
    config = json.loads((built_in_mixers()["demo"] / "config.json").read_text())
    config["record"]["data"] = "photos of the line"
    Path("own").mkdir()
    Path("own/config.json").write_text(json.dumps(config))
    assert main(["mixer", "list", "own"]) == 0
    assert "\n  photos of the line\n" in capsys.readouterr().out


def test_bad_input_of_train(capsys):
    train = ["mixer", "train", *TINY]
    assert "DATA is missing" in complaint(train, capsys)
    assert "'nowhere'" in complaint([*train, "nowhere"], capsys)
    assert "given twice" in complaint(["mixer", "train", DEMO, DEMO, *TINY], capsys)
    Path("empty").mkdir()
    assert "holds no image" in complaint(["mixer", "train", "empty", *TINY], capsys)
    photos("photos")
    same = ["mixer", "train", "photos", *TINY]
    assert "nearest is 'moco'" in complaint([*same, "--method", "mocco"], capsys)
    assert "samix train, not samix pretrain" in complaint([*same, "--preset", "vit"], capsys)
    assert "exists already" in complaint([*same, "--output", "photos"], capsys)
    assert "not a run folder" in complaint([*same, "--resume", "--output", "photos"], capsys)
    assert "--policy" in complaint([*same, "--policy", "cutmix"], capsys)


def test_bad_input_of_export(run, capsys):
    export = ["mixer", "export"]
    assert "--output" in complaint([*export, str(run)], capsys)
    assert "not a run folder" in complaint([*export, "nowhere", "--output", "x"], capsys)
    photos("photos")
    assert "exists already" in complaint([*export, str(run), "--output", "photos"], capsys)
    words = ["pretrain", "photos", *TINY, "--policy", "none", "--output", "plain"]
    assert main(words) == 0
    capsys.readouterr()
    assert "no Mixer: it mixed with 'none'" in complaint(
        [*export, "plain", "--output", "x"], capsys
    )
    unfinished = shutil.copytree(run, "unfinished")
    Path(unfinished, "model.json").unlink()
    said = complaint([*export, "unfinished", "--output", "x"], capsys)
    assert "not finished; finish it with --resume" in said
    Path("file").write_text("")
    assert "cannot be written" in complaint([*export, str(run), "--output", "file/x"], capsys)
    assert not Path("x").exists()


def test_bad_input_of_inspect(run, capsys):
    inspect = ["mixer", "inspect"]
    said = complaint([*inspect, "naturl"], capsys)
    assert "nearest is 'natural'" in said
    assert f"its Mixer is '{run / 'mixer'}'" in complaint([*inspect, str(run)], capsys)
    bare = shutil.copytree(run, "bare")
    shutil.rmtree(Path(bare, "mixer"))
    assert "samix mixer export bare --output" in complaint([*inspect, "bare"], capsys)
    folder = Path(shutil.copytree(run / "mixer", "copy"))
    config, weights = folder / "config.json", folder / "model.safetensors"
    content, whole = json.loads(config.read_text()), weights.read_bytes()
    for change, word in (
        ({"format": 9}, "format: expected 2"),
        ({"channels": 4}, "does not fit its config.json"),
        ({"record": {**content["record"], "sha256": "0"}}, "checksum"),
        ({"record": {**content["record"], "compatibility": [[0.0]]}}, "compatibility test"),
    ):
        config.write_text(json.dumps({**content, **change}))
        assert word in complaint([*inspect, "copy"], capsys)
    config.write_text(json.dumps(content))
    weights.write_bytes(whole[:-9])
    assert "checksum" in complaint([*inspect, "copy"], capsys)
    config.write_text("{")
    assert "holds no pre-trained Mixer" in complaint([*inspect, "copy"], capsys)
    assert "'nowhere'" in complaint([*inspect, "demo", "--data", "nowhere"], capsys)
    Path("one").mkdir()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save("one/1.png")
    assert "a pair needs two" in complaint([*inspect, "demo", "--data", "one"], capsys)
    assert "must be a .html" in complaint([*inspect, "demo", "--output", "x.jpg"], capsys)
    Path("there.html").write_bytes(b"")
    assert "exists already" in complaint([*inspect, "demo", "--output", "there.html"], capsys)
    assert "no folder" in complaint([*inspect, "demo", "--output", "no/x.html"], capsys)


def test_bad_input_of_list_and_of_the_command_itself(capsys):
    assert "no folder 'nowhere'" in complaint(["mixer", "list", "nowhere"], capsys)
    assert "ACTION" in complaint(["mixer"], capsys)
    assert "invalid choice: 'lsit'" in complaint(["mixer", "lsit"], capsys)


def test_samix_p_is_checked_before_any_photo_is_opened(capsys):
    words = ["train", "nowhere", *TINY, "--policy", "samix-p"]
    said = complaint([*words, "--policy-options", "mixer=naturl"], capsys)
    assert "nearest is 'natural'" in said
    assert "alpha" in complaint([*words, "--alpha", "0"], capsys)
    assert "--freeze-mixer" in complaint([*words, "--freeze-mixer"], capsys)


@pytest.mark.parametrize("action", ["train", "export", "inspect", "list"])
def test_help_explains_every_option(action, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["mixer", action, "--help"])
    assert stopped.value.code == 0
    assert f"samix mixer {action}" in capsys.readouterr().out
