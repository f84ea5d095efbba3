"""Faults by the script: what goes wrong, for whom, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

KINDS = {
    "status": "an HTTP status (status, with 503 perhaps retry_after in seconds)",
    "login_page": "status 200 with an HTML page",
    "hang": "no answer",
    "close": "the connection is closed",
    "soap": "a SOAP fault (code, perhaps back_off in milliseconds)",
    "response": "a response message of class Error (code, perhaps inner_code)",
    "broken": "half an envelope",
    "illegal": "characters that XML forbids in every subject and message text",
    "delay": "the right answer, seconds late",
}
BEFORE_SIGN_IN = frozenset({"status", "login_page", "hang", "close"})


@dataclass(slots=True)
class Fault:
    """``kind`` is one of KINDS. Without ``mailbox`` (a primary address) it hits the whole system, without
    ``operation`` every one; ``times`` is how often it still strikes, None until it is removed.
    """

    kind: str
    mailbox: str | None = None
    operation: str | None = None
    times: int | None = None
    status: int = 503
    retry_after: int | None = None
    code: str = "ErrorServerBusy"
    inner_code: str | None = None
    back_off: int | None = None
    seconds: float = 1.0
    id: int = 0

    def write(self) -> dict[str, Any]:
        return asdict(self)


def read_fault(data: Mapping[str, Any]) -> Fault:
    """Raises ValueError with a sentence about what is wrong."""
    if data.get("kind") not in KINDS:
        raise ValueError(f"kind: {data.get('kind')!r} is none of {', '.join(KINDS)}")
    try:
        return Fault(**{name: value for name, value in data.items() if name != "id"})
    except TypeError as error:
        raise ValueError(f"fault: {error}") from error


class Script:
    """The faults in force, oldest first."""

    def __init__(self) -> None:
        self._faults: dict[int, Fault] = {}
        self._last_id = 0

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults.values())

    def add(self, fault: Fault) -> Fault:
        self._last_id += 1
        fault.id = self._last_id
        self._faults[fault.id] = fault
        return fault

    def remove(self, number: int | None = None) -> int:
        """One fault by its id, or all. Returns how many were removed."""
        if number is not None:
            return int(self._faults.pop(number, None) is not None)
        count = len(self._faults)
        self._faults.clear()
        return count

    def strike_unread(self) -> Fault | None:
        """The fault that hits a request before anybody looks into it."""
        for fault in self._faults.values():
            if fault.kind in BEFORE_SIGN_IN and not fault.mailbox and not fault.operation:
                return self._use(fault)
        return None

    def strike(self, mailbox: str | None, operation: str) -> list[Fault]:
        """The faults that hit a read request: the first that replaces its answer, and delays."""
        struck: list[Fault] = []
        replaced = False
        for fault in list(self._faults.values()):
            if fault.mailbox and fault.mailbox.lower() != (mailbox or "").lower():
                continue
            if fault.operation and fault.operation != operation:
                continue
            if fault.kind != "delay":
                if replaced:
                    continue
                replaced = True
            struck.append(self._use(fault))
        return struck

    def _use(self, fault: Fault) -> Fault:
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                del self._faults[fault.id]
        return fault
