"""Whether so much work waits that asking for more would only multiply it."""

from __future__ import annotations

from shared.sync.interfaces import Health, QueueWatch

FEW = 50
"""Messages that are no backlog; what is asked for twice for their sake is soon done."""


async def is_behind(queue: str, waiting: QueueWatch, health: Health) -> bool:
    """Whether more messages wait than single users' repeats explain, as the last census counted them."""
    messages = await waiting.waiting(queue)
    if messages <= FEW:
        return False
    census = await health.census()
    return messages > FEW + (census.retrying if census else 0)
