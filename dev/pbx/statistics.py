"""What the PBX counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Statistics:
    """Counters since the start or the last reset.

    ``sessions`` are logged in now, ``most_sessions`` the most at once. ``presences_set``, ``duplicates``
    (set to what it was) and ``presences_refused`` count SetPresence by guid, an unknown one included.
    """

    connections: int = 0
    logins: int = 0
    logins_refused: int = 0
    sessions: int = 0
    most_sessions: int = 0
    messages: int = 0
    errors: int = 0
    keep_alives: int = 0
    replications: int = 0
    rows: int = 0
    presences_set: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    presences_refused: Counter[str] = field(default_factory=Counter)

    def open_session(self) -> None:
        self.logins += 1
        self.sessions += 1
        self.most_sessions = max(self.most_sessions, self.sessions)

    def close_session(self) -> None:
        self.sessions -= 1
