"""A worker process that reads the calendars its queue asks for, and says what that took.

As host.json has it: four messages at a time, and the next four when these are done. Its clock begins at the
instant that is its argument.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import azure.functions as func

import functions.services
from function_app import app

BATCH = 4


async def read_all(begin: datetime) -> dict[str, float]:
    """Work until the queue is empty; seconds, processor seconds, and the peak of memory in MB."""
    began, cpu = perf_counter(), process_time()

    def now() -> datetime:
        return begin + timedelta(seconds=perf_counter() - began)

    functions.services.now = now
    sync: Any = next(f for f in app.get_functions() if f.get_function_name() == "sync").get_user_function()
    storage = (await functions.services.services()).storage
    queue = storage._queue("sync")

    async def handle(message: Any) -> None:
        await sync(func.QueueMessage(id=message.id, body=message.content.encode()))
        await queue.delete_message(message)

    while await storage.waiting("sync"):
        received = queue.receive_messages(max_messages=BATCH, visibility_timeout=600)
        await asyncio.gather(*[handle(message) async for message in received])
    return {
        "seconds": perf_counter() - began,
        "cpu": process_time() - cpu,
        "memory": find_peak(),
    }


def find_peak() -> float:
    """The peak of this program's memory in MB, which Linux tells.

    What getrusage says began with the peak of the process that started this one.
    """
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None
    return int(peak[1]) / 1024


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    print(json.dumps(asyncio.run(read_all(datetime.fromisoformat(sys.argv[1])))))
