"""One invocation from trigger to output bindings, and its one line in the log."""

import logging
import time
import uuid
from collections.abc import Mapping
from contextvars import ContextVar

from dev.host.protos import TypedData
from dev.host.queues import QueueOutputs
from dev.host.worker import Function, Result, Worker

logger = logging.getLogger("dev.host")

current_invocation: ContextVar[tuple[str, str] | None] = ContextVar("current_invocation", default=None)
"""Name of the function and id of the invocation that the running code belongs to."""


class Invoker:
    """What HTTP, timers, queues and the administrator's requests run functions through."""

    def __init__(self, worker: Worker, outputs: QueueOutputs) -> None:
        self._worker = worker
        self._outputs = outputs

    async def invoke(
        self, function: Function, data: TypedData, metadata: Mapping[str, TypedData] | None = None
    ) -> Result:
        """Run the function, then write its queue outputs if it succeeded; failing to is its failure."""
        invocation_id = str(uuid.uuid4())
        token = current_invocation.set((function.name, invocation_id))
        started = time.perf_counter()
        result = Result({}, error="The host stopped before the function ended.")
        try:
            result = await self._worker.invoke(function, invocation_id, data, metadata or {})
            if result.ok:
                result = await self._write_outputs(function, result)
        finally:
            current_invocation.reset(token)
            outcome = "succeeded" if result.ok else "failed"
            fields = {
                "function": function.name,
                "invocation_id": invocation_id,
                "trigger": function.trigger["type"],
                "duration_ms": round((time.perf_counter() - started) * 1000, 1),
                "outcome": outcome,
                "detail": result.error or "",
            }
            level = logging.INFO if result.ok else logging.ERROR
            logger.log(level, "%s %s", function.name, outcome, extra=fields)
        return result

    async def _write_outputs(self, function: Function, result: Result) -> Result:
        try:
            await self._outputs.write(function, result.outputs)
        except Exception as error:
            return Result({}, error=f"An output binding failed: {error!r}")
        return result
