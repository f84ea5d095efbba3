"""What stands for a user or a mailbox in logs."""

from __future__ import annotations

import hashlib


def pseudonym(identity: str) -> str:
    """Twelve hexadecimal digits that are the same for the same guid or address, however it is written.

    The log lines of a user are found with ``printf %s GUID | sha256sum | cut -c1-12``.
    """
    return hashlib.sha256(identity.strip().casefold().encode()).hexdigest()[:12]
