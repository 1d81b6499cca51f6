"""Policies of the user's own, which a command names as ``module:name``.

Naming one imports a module, so that it is done for words of a command alone: what a file of a run
or a study says is looked up among the names that are known, and is never imported.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from samix.errors import InputError, nearest

from .policy import CARDS, POLICIES, Policy, PolicyCard, register

_OWN = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")
_INHERITED = "SAMIX_OWN_POLICIES"  # names that processes which this one starts may import
_RULE = ("images", "index", "generator")
POLICY_FORMS = (
    "a rule (images, index, generator) -> samix.MixPlan, a samix.Policy, or a function that "
    "returns one and whose parameters all have defaults"
)
"""What ``module:name`` may stand for, in words."""


def is_own(name: object) -> bool:
    """Say whether a name has the form ``module:name``, and is no file or folder."""
    return isinstance(name, str) and bool(_OWN.fullmatch(name)) and not Path(name).exists()


def register_own(name: str) -> None:
    """Import ``module:name`` and make it a policy of that name, for this process and its children.

    It is a rule, a policy, a class of policies, or a function whose parameters all have defaults
    and that returns a policy.

    Args:
        name: From :func:`is_own`.

    Raises:
        InputError: The name leads to nothing, or to something that is no policy.
    """
    if name in POLICIES:
        return
    found = import_name(name)
    make = policy_maker(found, name)
    if make is None:
        raise InputError(f"{name} is no policy: expected {POLICY_FORMS}")
    register(name, PolicyCard(_sentence(found, name)))(make)
    inherited = filter(None, os.environ.get(_INHERITED, "").split(","))
    os.environ[_INHERITED] = ",".join(dict.fromkeys([*inherited, name]))


def inherit_own() -> None:
    """Register what the process that started this one has registered."""
    for name in filter(None, os.environ.get(_INHERITED, "").split(",")):
        register_own(name)


def forget_own(name: str) -> None:
    """Take a name away again."""
    for known in (POLICIES, CARDS):
        known.pop(name, None)
    left = [word for word in os.environ.get(_INHERITED, "").split(",") if word not in ("", name)]
    os.environ[_INHERITED] = ",".join(left)


def policy_maker(found: Any, name: str) -> Callable[..., Policy] | None:
    """Return a function that makes a policy of what a name stands for; None where it is none.

    Args:
        found: A rule, a policy, or what makes one.
        name: What the policy is called.
    """
    if isinstance(found, Policy):
        return lambda: copy.deepcopy(found)
    if isinstance(found, type) and issubclass(found, Policy):
        return found
    parameters = _parameters(found)
    if parameters is None:
        return None
    if tuple(parameter.name for parameter in parameters[:3]) == _RULE:
        return _of_rule(found, name, parameters[3:])
    if any(parameter.default is inspect.Parameter.empty for parameter in parameters):
        return None
    return found if isinstance(found(), Policy) else None


def _parameters(found: Any) -> list[inspect.Parameter] | None:
    """Return the parameters of a function; None where it is none, or does not say."""
    if not inspect.isroutine(found):
        return None
    try:
        return list(inspect.signature(found).parameters.values())
    except ValueError:
        return None


def _of_rule(rule: Any, name: str, options: list[inspect.Parameter]) -> Callable[..., Policy]:
    """Return a function that makes a policy of a rule; further parameters are its options."""

    def make(p: float = 1.0, **given: Any) -> Policy:
        def asked(images: Any, index: Any, generator: Any) -> Any:
            return rule(images, index, generator, **given)

        return Policy(name, wraps(rule)(asked), p=p)

    shares = [*inspect.signature(make).parameters.values()][:1]
    named = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
    make.__signature__ = inspect.Signature([*shares, *named])  # type: ignore[attr-defined]
    return make


def _sentence(found: Any, name: str) -> str:
    text = inspect.getdoc(found) if inspect.isroutine(found) or isinstance(found, type) else None
    return " ".join((text or f"The policy {name}.").split("\n\n")[0].split())


def import_name(name: str) -> Any:
    """Return what ``module:name`` stands for, also of a module in the current folder.

    Raises:
        InputError: The module cannot be imported, or has no such name.
    """
    module, _, attribute = name.rpartition(":")
    found = _module(module, name)
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = [word for word in dir(found) if not word.startswith("_")]
            near = f"; the nearest is '{nearest(part, known)}'" if known else ""
            raise InputError(f"{name}: '{module}' has no '{part}'{near}")
        found = getattr(found, part)
    return found


def _module(module: str, name: str) -> Any:
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
