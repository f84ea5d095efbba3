"""How Entra ID misbehaves on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ENDPOINTS = ("discovery", "authorize", "token")


@dataclass(slots=True)
class Fault:
    """What ``endpoint`` answers in place of the right thing, ``times`` times or until it is removed (None).

    ``code`` (the number behind AADSTS) and ``error`` make a refusal as Entra ID writes it, with ``status``
    and perhaps ``retry_after`` seconds. Without a code the answer is an HTML page. ``delay`` alone only
    makes the right answer late.
    """

    endpoint: str
    status: int = 0
    error: str = "invalid_request"
    code: int = 0
    retry_after: int | None = None
    delay: float = 0.0
    times: int | None = None

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Fault:
        """Raises ValueError for what is no fault."""
        try:
            fault = cls(**values)
        except TypeError as error:
            raise ValueError(str(error)) from error
        if fault.endpoint not in ENDPOINTS:
            raise ValueError(f"endpoint: one of {', '.join(ENDPOINTS)}")
        return fault


class Faults(list[Fault]):
    """The misbehaviour in force, the first that fits counts."""

    def take(self, endpoint: str) -> Fault | None:
        fault = next((fault for fault in self if fault.endpoint == endpoint), None)
        if fault is not None and fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.remove(fault)
        return fault
