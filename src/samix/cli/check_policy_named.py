"""From the NAME of `samix check-policy` to what is checked."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from samix.checking import policy_of
from samix.errors import InputError
from samix.policies import Policy, nearest


def open_named(name: str, options: Mapping[str, Any]) -> Policy | Callable[..., Any]:
    """Return a policy, or the transform that ``module:name`` stands for.

    Args:
        name: What was given.
        options: Of the policy, or arguments of the class.

    Raises:
        InputError: There is no such thing, or it does not take these options.
    """
    if ":" not in name or Path(name).exists():
        return policy_of(name, **options)
    module, _, attribute = name.rpartition(":")
    found = _attribute(_module(module, name), attribute, name)
    if isinstance(found, type):
        try:
            return found(**options)  # type: ignore[no-any-return]
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"{name} cannot be made with --policy-options "
                f"{' '.join(f'{k}={v}' for k, v in options.items()) or '(none)'}: {reason}"
            ) from error
    if options:
        raise InputError(
            f"--policy-options {next(iter(options))}: {name} is no class, so that it takes none; "
            "leave it out, or give the class"
        )
    if not callable(found):
        raise InputError(
            f"{name} is of type {type(found).__name__} and cannot be called as (images, target)"
        )
    return found  # type: ignore[no-any-return]


def _module(module: str, name: str) -> Any:
    """Import a module, also one that lies in the current folder."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise InputError(f"{name}: it needs '{error.name}', which is not installed") from error
        raise InputError(
            f"{name}: there is no module '{module}' here or among what is installed; give "
            "module:name, for instance torchvision.transforms.v2:MixUp"
        ) from error
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{name}: '{module}' cannot be imported ({type(error).__name__}: {reason}); give "
            "module:name of a module that can"
        ) from error
    finally:
        sys.path.remove(here)


def _attribute(module: Any, attribute: str, name: str) -> Any:
    found = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = [word for word in dir(found) if not word.startswith("_")]
            near = f"; the nearest is '{nearest(part, known)}'" if known else ""
            raise InputError(f"{name}: '{module.__name__}' has no '{part}'{near}")
        found = getattr(found, part)
    return found
