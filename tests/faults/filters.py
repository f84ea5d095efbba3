"""The filters of table queries: the part of OData that Azure Table Storage understands and this project uses.

Published source: Microsoft Learn, "Querying tables and entities" (Table service REST API).
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

type Matches = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(r"\s*(\(|\)|'(?:[^']|'')*'|[^\s()']+)")
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


@functools.lru_cache(maxsize=512)
def parse_filter(text: str) -> Matches:
    """Make a predicate of a filter; an empty one matches everything. Raises ValueError for what is none.

    A property that a record lacks, or that has another type, matches nothing, not even ``ne``.
    """
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != re.sub(r"\s+(?=(?:[^']*'[^']*')*[^']*$)", "", text):
        raise ValueError(f"not a filter: {text}")
    if not tokens:
        return lambda record: True
    parser = _Parser(tokens)
    matches = parser.alternatives()
    if parser.tokens:
        raise ValueError(f"not a filter from {parser.tokens[0]} on: {text}")
    return matches


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def alternatives(self) -> Matches:
        parts = [self._conjunction()]
        while self.tokens and self.tokens[0] == "or":
            self.tokens.pop(0)
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else lambda record: any(part(record) for part in parts)

    def _conjunction(self) -> Matches:
        parts = [self._operand()]
        while self.tokens and self.tokens[0] == "and":
            self.tokens.pop(0)
            parts.append(self._operand())
        return parts[0] if len(parts) == 1 else lambda record: all(part(record) for part in parts)

    def _operand(self) -> Matches:
        first = self._next()
        if first == "not":
            inner = self._operand()
            return lambda record: not inner(record)
        if first == "(":
            inside = self.alternatives()
            if self._next() != ")":
                raise ValueError("a parenthesis is missing")
            return inside
        comparison, value = self._next(), _literal(self._next())
        compare = _COMPARISONS.get(comparison)
        if compare is None:
            raise ValueError(f"{comparison} is no comparison")

        def matches(record: Mapping[str, Any]) -> bool:
            held = record.get(first)
            if held is None or isinstance(held, str) != isinstance(value, str):
                return False
            return bool(compare(held, value))

        return matches

    def _next(self) -> str:
        if not self.tokens:
            raise ValueError("the filter ends too early")
        return self.tokens.pop(0)


def _literal(token: str) -> object:
    if token.startswith("'"):
        return token[1:-1].replace("''", "'")
    if token in ("true", "false"):
        return token == "true"
    return int(token.removesuffix("L"))
