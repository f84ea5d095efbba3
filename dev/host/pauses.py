"""Waiting that ends early when there is a reason to."""

import asyncio


async def pause(until: asyncio.Event, seconds: float) -> None:
    """Sleep for ``seconds``, but not longer than until the event is set."""
    try:
        async with asyncio.timeout(seconds):
            await until.wait()
    except TimeoutError:
        return
