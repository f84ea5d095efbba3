"""Loads a function app and runs its functions, by the code that does it in Azure.

Microsoft's library azure-functions-runtime keeps its registry of functions in module variables and imports
``function_app`` by that name: one app at a time in a process, and a fresh import each time.
"""

import asyncio
import contextlib
import importlib
import json
import logging
import sys
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from azure_functions_runtime import handle_event  # type: ignore[import-untyped]

from dev.host.configuration import HostError
from dev.host.logs import current_invocation, logger
from dev.host.protos import PROTOS, Message, ParameterBinding, TypedData


@dataclass(frozen=True)
class Function:
    """A function of the app: its trigger and its other bindings, in function.json's terms."""

    id: str
    name: str
    trigger: Mapping[str, Any]
    outputs: tuple[Mapping[str, Any], ...]

    @property
    def kind(self) -> str:
        """The type of its trigger."""
        return str(self.trigger["type"])


@dataclass(frozen=True)
class Result:
    """How an invocation ended; ``outputs`` holds what was set, by binding name, "$return" among them."""

    outputs: Mapping[str, TypedData]
    error: str | None = None


@contextlib.contextmanager
def importable(root: Path) -> Iterator[None]:
    """The app at ``root`` can be imported inside, and is forgotten after it."""
    before = set(sys.modules)
    sys.modules.pop("function_app", None)
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(root))
        for name in set(sys.modules) - before | {"function_app"}:
            file = Path(getattr(sys.modules.get(name), "__file__", None) or "/")
            if name == "function_app" or (
                file.is_relative_to(root) and file.relative_to(root).parts[0] not in (".venv", "dev", "tests")
            ):
                sys.modules.pop(name, None)


async def load_functions(root: Path) -> list[Function]:
    """Import function_app.py and index its functions; raises HostError with the reason and its line."""
    if not (root / "function_app.py").is_file():
        raise HostError(f"There is no function_app.py in {root}.")
    try:
        importlib.import_module("function_app")
    except Exception as error:
        raise HostError(f"function_app.py cannot be loaded: {_describe(error, root)}.") from error
    init = Message(function_app_directory=str(root), capabilities={})
    properties = {"host": "127.0.0.1", "protos": PROTOS}
    request = Message(request=Message(worker_init_request=init), properties=properties)
    answer = await handle_event.worker_init_request(request)
    if answer.result.status != PROTOS.StatusResult.Success:
        raise HostError(f"The functions cannot be indexed: {answer.result.exception.message}")
    metadata = await handle_event.functions_metadata_request(Message(request=Message()))
    return [_function(item) for item in metadata.function_metadata_results or []]


class Invoker:
    """What HTTP, timers, queues and the administrator's requests run functions through.

    ``write`` puts what a function set into its output bindings; ``limit`` is how long one may run.
    """

    def __init__(
        self, write: Callable[[Function, Mapping[str, TypedData]], Awaitable[None]], limit: timedelta
    ) -> None:
        self._write = write
        self._limit = limit.total_seconds()

    async def invoke(
        self, function: Function, data: TypedData, metadata: Mapping[str, TypedData] | None = None
    ) -> Result:
        """Run the function once on ``data``, its trigger's value, then write its outputs if it succeeded.

        What fails is in the result, and one line in the log says how it went.
        """
        invocation_id = str(uuid.uuid4())
        token = current_invocation.set((function.name, invocation_id))
        started = time.perf_counter()
        result = Result({}, error="The host stopped before the function ended.")
        try:
            async with asyncio.timeout(self._limit):
                result = await _run(function, invocation_id, data, metadata or {})
            if result.error is None:
                await self._write(function, result.outputs)
        except TimeoutError:
            result = Result({}, error="The function ran longer than functionTimeout.")
        except Exception as error:
            result = Result({}, error=f"An output binding failed: {error!r}")
        finally:
            current_invocation.reset(token)
            level, outcome = (logging.ERROR, "failed") if result.error else (logging.INFO, "succeeded")
            fields = {
                "function": function.name,
                "invocation_id": invocation_id,
                "trigger": function.kind,
                "duration_ms": round((time.perf_counter() - started) * 1000, 1),
                "outcome": outcome,
                "detail": result.error or "",
            }
            logger.log(level, "%s %s", function.name, outcome, extra=fields)
        return result


async def _run(
    function: Function, invocation_id: str, data: TypedData, metadata: Mapping[str, TypedData]
) -> Result:
    request = Message(
        invocation_id=invocation_id,
        function_id=function.id,
        input_data=[ParameterBinding(name=function.trigger["name"], data=data)],
        trigger_metadata=dict(metadata),
        trace_context=Message(trace_parent="", trace_state="", attributes={}),
        retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
    )
    answer = await handle_event.invocation_request(Message(request=Message(invocation_request=request)))
    if answer.result.status != PROTOS.StatusResult.Success:
        return Result({}, answer.result.exception.stack_trace)
    outputs = {output.name: output.data for output in answer.output_data}
    if answer.return_value is not None:
        outputs["$return"] = answer.return_value
    return Result(outputs)


def _function(metadata: Message) -> Function:
    bindings = [json.loads(text) for text in metadata.raw_bindings]
    (trigger,) = (binding for binding in bindings if binding["type"].lower().endswith("trigger"))
    outputs = tuple(binding for binding in bindings if binding is not trigger)
    return Function(metadata.function_id, metadata.name, trigger, outputs)


def _describe(error: Exception, root: Path) -> str:
    said = f"{type(error).__name__}: {' '.join(str(error).split())}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(root):
            return f"{said} ({Path(frame.filename).relative_to(root)}, line {frame.lineno})"
    return said
