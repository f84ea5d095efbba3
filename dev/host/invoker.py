"""One invocation from trigger to output bindings, and its one line in the log."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from dev.host.protos import TypedData
from dev.host.queues import QueueOutputs
from dev.host.worker import Function, Result, Worker

logger = logging.getLogger("dev.host")


class Invoker:
    """What HTTP, timers, queues and the administrator's requests run functions through."""

    def __init__(self, worker: Worker, outputs: QueueOutputs) -> None:
        self._worker = worker
        self._outputs = outputs

    async def invoke(
        self, function: Function, data: TypedData, metadata: Mapping[str, TypedData] | None = None
    ) -> Result:
        """Run the function, then write its queue outputs if it succeeded; failing to is its failure."""
        started = time.perf_counter()
        outcome, detail = "cancelled", ""
        invocation_id = ""
        try:
            result = await self._worker.invoke(function, data, metadata)
            invocation_id = result.invocation_id
            if result.ok:
                try:
                    await self._outputs.write(function, result.outputs)
                except Exception as error:
                    result = replace(result, error=f"An output binding failed: {error!r}")
            outcome, detail = ("failed", result.error) if result.error else ("succeeded", "")
            return result
        except asyncio.CancelledError:
            raise
        finally:
            duration = round((time.perf_counter() - started) * 1000, 1)
            logger.log(
                logging.INFO if outcome == "succeeded" else logging.ERROR,
                "%s %s",
                function.name,
                outcome,
                extra={
                    "function": function.name,
                    "invocation_id": invocation_id,
                    "trigger": function.trigger["type"],
                    "duration_ms": duration,
                    "outcome": outcome,
                    "detail": detail,
                },
            )
