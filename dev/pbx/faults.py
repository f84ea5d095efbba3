"""How the PBX misbehaves on demand."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """The misbehaviour in force. Every field can be set at any time and works from then on.

    ``refuse``, ``ignore``  guids whose SetPresence is answered with an error, or not at all
    ``delay``               seconds that every answer takes
    ``shuffle``             how many answers to SetPresence are held and then sent in random order
    ``drop_after``          messages until a connection is cut: the last takes effect, unanswered; once
    """

    refuse: set[str] = field(default_factory=set)
    ignore: set[str] = field(default_factory=set)
    delay: float = 0.0
    shuffle: int = 1
    drop_after: int | None = None
