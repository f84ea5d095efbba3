"""Checks of values that come from outside; what is wrong is said with its field and the remedy."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

_brief = reprlib.Repr(maxstring=60, maxother=60)
quote: Callable[[object], str] = _brief.repr
"""A value as an error shows it: short, and without characters that can't be printed."""


class Fault(NamedTuple):
    """One wrong value: the dotted name of its field, what is wrong, what to do."""

    field: str
    fault: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}: {self.fault}. {self.remedy}"


class FieldError(ValueError):
    """Something that was given is wrong; ``faults`` holds all that was found."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__(" ".join(map(str, faults)))


def check_name(field: str, name: str, known: Collection[str]) -> None:
    """Accept the name of a field that exists. Raises FieldError for ``field``."""
    if name not in known:
        raise FieldError(Fault(field, "unknown", f"Use one of: {', '.join(known)}."))


def check_text(field: str, value: object) -> str:
    """Accept a string. Raises FieldError."""
    if isinstance(value, str):
        return value
    raise FieldError(Fault(field, f"{quote(value)} is not text", "Write it as a string in quotes."))


def check_flag(field: str, value: object) -> bool:
    """Accept a boolean. Raises FieldError."""
    if isinstance(value, bool):
        return value
    raise FieldError(Fault(field, f"{quote(value)} is neither true nor false", "Use true or false."))


def check_texts(field: str, value: object) -> tuple[str, ...]:
    """Accept a list of strings. Raises FieldError."""
    if isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
        return tuple(value)
    raise FieldError(Fault(field, f"{quote(value)} is not a list of texts", 'Write it as ["one", "two"].'))


def check_choice(field: str, value: object, choices: Collection[str]) -> str:
    """Accept one of some strings. Raises FieldError."""
    if isinstance(value, str) and value in choices:
        return value
    raise FieldError(Fault(field, f"{quote(value)} is not known", f"Use one of: {', '.join(choices)}."))


def check_object(field: str, value: object) -> Mapping[str, Any]:
    """Accept a JSON object. Raises FieldError."""
    if isinstance(value, Mapping):
        return value
    raise FieldError(Fault(field, f"{quote(value)} is not an object", 'Write it as {"name": "value"}.'))
