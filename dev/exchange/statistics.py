"""What the simulator saw."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class Statistics:
    """Counts since the start or the last reset.

    ``requests`` counts HTTP requests, ``operations`` those that were signed in and well-formed, by name;
    ``mailboxes`` those by impersonated address. ``challenges`` are NTLM challenges sent, ``sign_ins``
    connections that signed in, ``refused_sign_ins`` wrong passwords, accounts or channel bindings.
    ``missing_anchors`` counts impersonated requests without ``X-AnchorMailbox``, ``foreign_cookies`` those
    that carried a cookie of another mailbox. ``codes`` counts faults and errors answered, ``faults`` the
    scripted ones that struck. ``premature`` counts requests that came before the time that a busy signal had
    named, but for those that were on their way then.
    """

    requests: int = 0
    connections: int = 0
    challenges: int = 0
    sign_ins: int = 0
    refused_sign_ins: int = 0
    missing_anchors: int = 0
    foreign_cookies: int = 0
    max_concurrent: int = 0
    max_concurrent_of_one_mailbox: int = 0
    premature: int = 0
    notifications: int = 0
    failed_notifications: int = 0
    dropped_subscriptions: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    mailboxes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def write(self) -> dict[str, Any]:
        """As JSON."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in values.items()}

    def reset(self) -> None:
        """Begin anew."""
        blank = Statistics()
        for entry in fields(self):
            setattr(self, entry.name, getattr(blank, entry.name))
