"""Plain objects shaped like the protobuf messages between a Functions host and its worker.

The messages are those of azure-functions-language-worker-protobuf (FunctionRpc.proto). Microsoft's worker
library only reads attributes, calls ``WhichOneof("data")`` and builds answers through the namespace it is
given, so no protobuf is needed.
"""

from types import SimpleNamespace
from typing import Any


class Message(SimpleNamespace):
    """Any message: its fields are the keywords it was built with."""


class TypedData(Message):
    """One value and its kind, as in ``TypedData(string="x")`` or ``TypedData(json="{}")``."""

    @property
    def kind(self) -> str | None:
        return next(iter(vars(self)), None)

    @property
    def value(self) -> Any:
        return next(iter(vars(self).values()), None)

    def WhichOneof(self, _group: str) -> str | None:
        return self.kind


class ParameterBinding(Message):
    """A named argument or output."""

    def WhichOneof(self, _group: str) -> str:
        return "data"


class _BindingInfo(Message):
    """The directions as the worker compares them with those of azure.functions."""

    undefined = 0
    out = 1
    inout = 2


class _StatusResult(Message):
    Failure = 0
    Success = 1


class _RpcHttpCookie(Message):
    SameSite = SimpleNamespace(**{"None": None, "Lax": "lax", "Strict": "strict", "ExplicitNone": "none"})


class _Protos:
    """The namespace; what is not named here is just a message."""

    BindingInfo = _BindingInfo
    ParameterBinding = ParameterBinding
    RpcHttpCookie = _RpcHttpCookie
    StatusResult = _StatusResult
    TypedData = TypedData

    def __getattr__(self, _name: str) -> type[Message]:
        return Message


PROTOS = _Protos()
