"""The Mixers that come with the package, and opening one from wherever it is."""

from __future__ import annotations

import difflib
import re
from importlib.resources import files
from pathlib import Path

from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from .mixer_file import CONFIG, read_configuration
from .pretrained_mixer import PretrainedMixer

DEFAULT_MIXER = "natural"
"""The built-in Mixer that is taken where none is named."""
_PACKAGE = "samix.mixers"
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def built_in_mixers() -> dict[str, Path]:
    """Return the folders of the Mixers in this package by name, the default first."""
    root = Path(str(files(_PACKAGE)))
    names = sorted(path.name for path in root.iterdir() if is_pretrained_mixer(path))
    names.sort(key=lambda name: name != DEFAULT_MIXER)
    return {name: root / name for name in names}


def open_mixer(source: str | Path | None = None) -> PretrainedMixer:
    """Open a pre-trained Mixer.

    Args:
        source: Name of one in this package, folder of :meth:`PretrainedMixer.save_pretrained`, or
            "owner/name" of a repository on the Hugging Face hub; None takes the default one of this
            package.

    Raises:
        ValueError: There is none of this name; or it is damaged, of another version, or no Mixer;
            or the repository cannot be fetched.
    """
    name = str(DEFAULT_MIXER if source is None else source)
    built_in = built_in_mixers()
    if name in built_in:
        return PretrainedMixer.from_pretrained(str(built_in[name]))
    folder = Path(name).expanduser()
    if folder.exists():
        if not is_pretrained_mixer(folder):
            raise ValueError(
                f"'{name}' holds no pre-trained Mixer (a {CONFIG} of one); give a folder that "
                "samix mixer export or save_pretrained has written"
            )
        return PretrainedMixer.from_pretrained(str(folder))
    if not is_repository(name):
        near = difflib.get_close_matches(name, built_in, n=1, cutoff=0.0)
        raise ValueError(
            f"mixer: expected one of {', '.join(built_in)}, a folder, or the owner/name of a "
            f"repository, got '{name}'; the nearest is '{near[0]}'"
        )
    try:
        return PretrainedMixer.from_pretrained(name)
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"'{name}' is no folder of a pre-trained Mixer, and no such repository can be fetched "
            f"({reason})"
        ) from error


def is_pretrained_mixer(folder: str | Path) -> bool:
    """Say whether a folder holds a Mixer of this kind."""
    return bool(read_configuration(folder))


def is_repository(name: str) -> bool:
    """Say whether a name can be that of a repository on the Hugging Face hub."""
    return _REPOSITORY.fullmatch(name) is not None
