"""Loads a function app and runs its functions, by the code that does it in Azure.

Microsoft's library azure-functions-runtime keeps its registry of functions in module variables and imports
``function_app`` by that name: one app at a time in a process, and a fresh import each time.
"""

import importlib
import json
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from azure_functions_runtime import handle_event  # type: ignore[import-untyped]

from dev.host.configuration import HostError


class Message(SimpleNamespace):
    """A message between a Functions host and its worker, as in FunctionRpc.proto.

    The library only reads attributes, calls WhichOneof and builds answers by the namespace it is given, so
    no protobuf is needed.
    """


class TypedData(Message):
    """One value and its kind, as in ``TypedData(string="x")``."""

    def WhichOneof(self, _group: str) -> str | None:
        return next(iter(vars(self)), None)

    @property
    def value(self) -> Any:
        return next(iter(vars(self).values()), None)


class _Protos:
    """The namespace. What is not named here is just a message, and what may be null its value."""

    TypedData = TypedData

    class ParameterBinding(Message):
        def WhichOneof(self, _group: str) -> str:
            return "data"

    class BindingInfo(Message):
        undefined, out, inout = 0, 1, 2

    class StatusResult(Message):
        Failure, Success = 0, 1

    class RpcHttpCookie(Message):
        SameSite = SimpleNamespace(**{"None": None, "Lax": "lax", "Strict": "strict", "ExplicitNone": "none"})

    def __getattr__(self, name: str) -> Any:
        return (lambda value: value) if name.startswith("Nullable") else Message


_PROTOS = _Protos()

type Outputs = Mapping[str, TypedData]
"""What a function set, by the name of the binding; what it returned is ``$return``."""


@dataclass(frozen=True)
class Function:
    """A function of the app: its trigger and its other bindings, in function.json's terms."""

    id: str
    name: str
    trigger: Mapping[str, Any]
    outputs: tuple[Mapping[str, Any], ...]

    async def run(self, invocation_id: str, data: TypedData, metadata: Mapping[str, TypedData]) -> Outputs:
        """Run it on its trigger's value. Raises RuntimeError with the traceback if it fails."""
        request = Message(
            invocation_id=invocation_id,
            function_id=self.id,
            input_data=[_PROTOS.ParameterBinding(name=self.trigger["name"], data=data)],
            trigger_metadata=metadata,
            trace_context=Message(trace_parent="", trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        answer = await handle_event.invocation_request(Message(request=Message(invocation_request=request)))
        if answer.result.status != _PROTOS.StatusResult.Success:
            raise RuntimeError(answer.result.exception.stack_trace)
        outputs = {output.name: output.data for output in answer.output_data}
        return outputs if answer.return_value is None else {**outputs, "$return": answer.return_value}


@contextmanager
def importable(root: Path) -> Iterator[None]:
    """The app at ``root`` can be imported inside, and another one after it."""
    sys.modules.pop("function_app", None)
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(root))
        sys.modules.pop("function_app", None)


async def load_functions(root: Path) -> list[Function]:
    """Import function_app.py and index its functions. Raises HostError with the reason and its line."""
    if not (root / "function_app.py").is_file():
        raise HostError(f"There is no function_app.py in {root}.")
    try:
        importlib.import_module("function_app")
    except Exception as error:
        raise HostError(f"function_app.py cannot be loaded: {_describe(error, root)}.") from error
    init = Message(worker_init_request=Message(function_app_directory=str(root), capabilities={}))
    answer = await handle_event.worker_init_request(Message(request=init, properties={"protos": _PROTOS}))
    if answer.result.status != _PROTOS.StatusResult.Success:
        raise HostError(f"The functions cannot be indexed: {answer.result.exception.message}")
    metadata = await handle_event.functions_metadata_request(Message())
    return [_function(item) for item in metadata.function_metadata_results or []]


def _function(metadata: Message) -> Function:
    bindings = [json.loads(text) for text in metadata.raw_bindings]
    (trigger,) = (binding for binding in bindings if binding["type"].endswith("Trigger"))
    outputs = tuple(binding for binding in bindings if binding is not trigger)
    return Function(metadata.function_id, metadata.name, trigger, outputs)


def _describe(error: Exception, root: Path) -> str:
    said = f"{type(error).__name__}: {' '.join(str(error).split())}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(root):
            return f"{said} ({Path(frame.filename).relative_to(root)}, line {frame.lineno})"
    return said
