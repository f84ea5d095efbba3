"""What the Table service accepts ("Understanding the Table service data model", "Performing entity group
transactions"). The emulator takes more: a record too large would only fail in production.

The messages name properties, never keys or values: those may tell of users.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

Entity = Mapping[str, Any]

TRANSACTION_LIMIT = 100
"""Operations in one transaction."""

TRANSACTION_BYTES = 4 << 20
ENTITY_BYTES = 1 << 20
STRING_BYTES = 64 << 10
KEY_BYTES = 1 << 10
PROPERTIES = 252

_KEYS = ("PartitionKey", "RowKey")
_ILLEGAL = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")

_STEP_BYTES = 2 << 10
"""More than the headers of one step of a transaction have."""


def check_entity(entity: Entity) -> None:
    """Check one record.

    Raises:
        ValueError: the service would refuse it; says which property or limit.
    """
    for key in _KEYS:
        if _ILLEGAL.search(entity[key]):
            raise ValueError(f"{key} holds a character that is illegal in keys")
        _check(key, _text_bytes(entity[key]), KEY_BYTES)
    own = len(entity.keys() - {*_KEYS, "Timestamp"})
    if own > PROPERTIES:
        raise ValueError(f"a record with {own} properties, the limit is {PROPERTIES}")
    for name, value in entity.items():
        if isinstance(value, str):
            _check(name, _text_bytes(value), STRING_BYTES)
        elif isinstance(value, bytes):
            _check(name, len(value), STRING_BYTES)
    _check("a record", measure(entity), ENTITY_BYTES)


def check_transaction(entities: Sequence[Entity]) -> None:
    """Check the records of one transaction, and all of them together.

    Raises:
        ValueError: the service would refuse it; says which property or limit.
    """
    if len(entities) > TRANSACTION_LIMIT:
        raise ValueError(f"{len(entities)} operations in a transaction, the limit is {TRANSACTION_LIMIT}")
    for entity in entities:
        check_entity(entity)
    # As JSON a character of two bytes takes six at most: what is small enough even so needs no closer look.
    if 3 * sum(map(measure, entities)) + len(entities) * _STEP_BYTES > TRANSACTION_BYTES:
        size = sum(len(json.dumps(dict(entity), default=str)) + _STEP_BYTES for entity in entities)
        _check("a transaction", size, TRANSACTION_BYTES)


def measure(entity: Entity) -> int:
    """The bytes that the service counts for a record."""
    keys = sum(_text_bytes(entity[key]) for key in _KEYS)
    own = (item for item in entity.items() if item[0] not in _KEYS)
    return 4 + keys + sum(8 + _text_bytes(name) + _value_bytes(value) for name, value in own)


def _value_bytes(value: Any) -> int:
    match value:
        case str():
            return 4 + _text_bytes(value)
        case bytes():
            return 4 + len(value)
        case bool():
            return 1
        case int() | float() | datetime():
            return 8
        case _:
            return 16


def _text_bytes(text: str) -> int:
    if text.isascii():
        return 2 * len(text)
    return len(text.encode("utf-16-le", "surrogatepass"))


def _check(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise ValueError(f"{what} has {size} bytes, the limit is {limit}")
