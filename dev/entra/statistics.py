"""What Entra ID counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class Statistics:
    """Counters since the start or the last reset.

    ``tokens`` counts answers of the token endpoint by grant, ``refusals`` by code, ``reused`` refresh
    tokens that were sent once more after they had been replaced. ``most_at_once`` are token requests.
    """

    discoveries: int = 0
    sign_ins: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    reused: int = 0
    at_once: int = 0
    most_at_once: int = 0

    def describe(self) -> dict[str, Any]:
        return {counter.name: getattr(self, counter.name) for counter in fields(self)}
