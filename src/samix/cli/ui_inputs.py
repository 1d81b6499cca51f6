"""What the page of `samix ui` may send: each input is checked before gradio sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from samix.errors import InputError

from .ui_uploads import Uploads

TEXT = 200
"""Characters that a text of the page may have."""
_NUMBER = 2**53  # the largest whole number that JSON carries exactly
_SESSION = re.compile(r"[A-Za-z0-9]{1,64}")
_FILE = {"_type": "gradio.FileData"}


def checked_call(raw: bytes, functions: Mapping[int, Any], uploads: Uploads) -> bytes:
    """Return a call of the page again, made of nothing but what was checked.

    gradio copies every file that an input names into the folder that it gives away, whatever kind
    of input it is, before the input itself is asked. So nothing but a photo that was dropped in may
    come as far as that.

    Args:
        raw: The JSON text.
        functions: Of the page, by number; each has its ``inputs``.
        uploads: Where photos lie.

    Raises:
        InputError: It is not what the page sends.
    """
    try:
        call = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError("the input 'call' must be a JSON object; open the page anew") from error
    if not isinstance(call, dict):
        raise _refused("call", "a JSON object", call)
    number, session, data = (call.get(name) for name in ("fn_index", "session_hash", "data"))
    if type(number) is not int or number not in functions:
        raise _refused("fn_index", "the number of a function of the page", number)
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise _refused("session_hash", "1 to 64 letters and digits", session)
    inputs = functions[number].inputs
    if not isinstance(data, list) or len(data) != len(inputs):
        raise _refused("data", f"a list of {len(inputs)} values", data)
    values = [_checked(*pair, uploads) for pair in zip(inputs, data, strict=True)]
    trigger = call.get("trigger_id")
    checked = {
        "fn_index": number,
        "session_hash": session,
        "data": values,
        "trigger_id": trigger if type(trigger) is int else None,
    }
    return json.dumps(checked).encode()


def _checked(component: Any, value: Any, uploads: Uploads) -> Any:
    """Return the value of an input, of the one kind that it takes.

    Raises:
        InputError: It is of another kind.
    """
    label = str(component.label)
    if isinstance(component, gr.Image):
        return _photo(label, value, uploads)
    for kind, (expected, fits) in _KINDS.items():
        if isinstance(component, kind):
            if not fits(component, value):
                raise _refused(label, expected, value)
            return value
    raise _refused(label, "no value at all", value)


def _photo(label: str, value: Any, uploads: Uploads) -> dict[str, Any] | None:
    """Return what names a photo that was dropped in, and nothing else."""
    if value is None:
        return None
    path = value.get("path") if isinstance(value, dict) else None
    if not isinstance(path, str):
        raise _refused(label, "a photo that was dropped in, or none", value)
    return {"path": str(uploads.find(path)), "meta": _FILE}


def _is_text(_: Any, value: Any) -> bool:
    """Say whether a value is a short text that can be written down."""
    if not isinstance(value, str) or len(value) > TEXT:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_number(_: Any, value: Any) -> bool:
    return type(value) in (int, float) and -_NUMBER <= value <= _NUMBER


def _is_number_or_none(component: Any, value: Any) -> bool:
    return value is None or _is_number(component, value)


def _are_offered(component: Any, value: Any) -> bool:
    return isinstance(value, list) and all(_is_offered(component, one) for one in value)


def _is_offered_or_none(component: Any, value: Any) -> bool:
    return value is None or _is_offered(component, value)


def _is_offered(component: Any, value: Any) -> bool:
    """Say whether a value is a choice of the list, and of the same kind (1.0 is not 1)."""
    return any(type(value) is type(one) and value == one for _, one in component.choices)


_KINDS: dict[type, tuple[str, Callable[[Any, Any], bool]]] = {
    gr.Textbox: (f"a text of at most {TEXT} characters", _is_text),
    gr.Slider: ("a number", _is_number),
    gr.Number: ("a number, or none", _is_number_or_none),
    gr.CheckboxGroup: ("names of the list", _are_offered),
    gr.Dropdown: ("a photo of the list, or none", _is_offered_or_none),
}


def _refused(what: str, expected: str, got: Any) -> InputError:
    """Return a complaint; what was sent is shortened, and no name of a file is in it."""
    said = f"{type(got).__name__}" if isinstance(got, (dict, list)) else repr(got)[:40]
    return InputError(f"the input '{what}' must be {expected}, got {said}; open the page anew")
