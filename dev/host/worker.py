"""Loads a function app and runs its functions, by the code that does it in Azure.

Microsoft's library azure-functions-runtime keeps its registry of functions in module variables and imports
``function_app`` by that name: one app at a time in a process, and a fresh import each time.
"""

import contextlib
import importlib
import json
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from azure_functions_runtime import handle_event  # type: ignore[import-untyped]

from dev.host.configuration import HostError
from dev.host.protos import PROTOS, Message, ParameterBinding, StatusResult, TypedData


@dataclass(frozen=True)
class Function:
    """A function of the app: its trigger and its other bindings, in function.json's terms."""

    id: str
    name: str
    trigger: Mapping[str, Any]
    outputs: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Result:
    """How an invocation ended; ``outputs`` holds what was set, by binding name, "$return" among them."""

    outputs: Mapping[str, TypedData]
    error: str | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


class Worker:
    """A context manager: the app at ``root`` is importable inside it and forgotten after it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __enter__(self) -> "Worker":
        self._modules = set(sys.modules)
        sys.modules.pop("function_app", None)
        sys.path.insert(0, str(self.root))
        importlib.invalidate_caches()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(self.root))
        for name in set(sys.modules) - self._modules | {"function_app"}:
            if name == "function_app" or self._is_of_app(getattr(sys.modules[name], "__file__", None)):
                sys.modules.pop(name, None)

    def _is_of_app(self, file: str | None) -> bool:
        if file is None or not Path(file).is_relative_to(self.root):
            return False
        return Path(file).relative_to(self.root).parts[0] not in (".venv", "dev", "tests")

    async def load(self) -> list[Function]:
        """Import function_app.py and index its functions; raises HostError with the reason and its line."""
        if not (self.root / "function_app.py").is_file():
            raise HostError(f"There is no function_app.py in {self.root}.")
        try:
            importlib.import_module("function_app")
        except Exception as error:
            raise HostError(f"function_app.py cannot be loaded: {_describe(error, self.root)}.") from error
        init = Message(function_app_directory=str(self.root), capabilities={})
        properties = {"host": "127.0.0.1", "protos": PROTOS}
        request = Message(request=Message(worker_init_request=init), properties=properties)
        answer = await handle_event.worker_init_request(request)
        if answer.result.status != StatusResult.Success:
            raise HostError(f"The functions cannot be indexed: {answer.result.exception.message}")
        metadata = await handle_event.functions_metadata_request(Message(request=Message()))
        return [_function(item) for item in metadata.function_metadata_results or []]

    async def invoke(
        self, function: Function, invocation_id: str, data: TypedData, metadata: Mapping[str, TypedData]
    ) -> Result:
        """Run the function once on ``data``, its trigger's value; its exceptions are in the result."""
        request = Message(
            invocation_id=invocation_id,
            function_id=function.id,
            input_data=[ParameterBinding(name=function.trigger["name"], data=data)],
            trigger_metadata=dict(metadata),
            trace_context=Message(trace_parent="", trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        answer = await handle_event.invocation_request(Message(request=Message(invocation_request=request)))
        if answer.result.status != StatusResult.Success:
            return Result({}, answer.result.exception.stack_trace)
        outputs = {output.name: output.data for output in answer.output_data}
        if answer.return_value is not None:
            outputs["$return"] = answer.return_value
        return Result(outputs)


def _function(metadata: Message) -> Function:
    bindings = [json.loads(text) for text in metadata.raw_bindings]
    triggers = [binding for binding in bindings if binding["type"].lower().endswith("trigger")]
    if len(triggers) != 1:
        raise HostError(f"The function {metadata.name} must have exactly one trigger.")
    outputs = tuple(binding for binding in bindings if binding not in triggers)
    return Function(metadata.function_id, metadata.name, triggers[0], outputs)


def _describe(error: Exception, root: Path) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = next((frame for frame in reversed(frames) if Path(frame.filename).is_relative_to(root)), None)
    said = " ".join(str(error).split())
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {said}"
    where = f" ({Path(place.filename).relative_to(root)}, line {place.lineno})" if place else ""
    return f"{type(error).__name__}: {said}{where}"
