"""What the host is told by files and by the environment.

Follows Microsoft Learn, "host.json reference for Azure Functions" and "Azure Queue storage trigger and
bindings: host.json settings".
"""

import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasPath, BaseModel, Field, ValidationError
from pydantic.alias_generators import to_camel


class HostError(Exception):
    """The host cannot start; the text is one sentence for whoever started it."""


class QueueOptions(BaseModel, alias_generator=to_camel, populate_by_name=True):
    """``extensions.queues``; the defaults are those of a host in development."""

    batch_size: int = Field(default=16, ge=1, le=32)
    new_batch_threshold: int = Field(default_factory=lambda told: told["batch_size"] // 2, ge=0)
    max_dequeue_count: int = Field(default=5, ge=1)
    max_polling_interval: timedelta = Field(default=timedelta(seconds=2), ge=timedelta(milliseconds=100))
    visibility_timeout: timedelta = timedelta()
    message_encoding: Literal["base64"] = "base64"


class HostOptions(BaseModel, alias_generator=to_camel, populate_by_name=True):
    """host.json, as far as this host honours it."""

    version: Literal["2.0"]
    function_timeout: timedelta = timedelta(minutes=30)
    route_prefix: str = Field(default="api", validation_alias=AliasPath("extensions", "http", "routePrefix"))
    queues: QueueOptions = Field(default=QueueOptions(), validation_alias=AliasPath("extensions", "queues"))


def read_host_json(path: Path) -> HostOptions:
    """host.json, with settings like ``AzureFunctionsJobHost__functionTimeout`` laid over it."""
    document = read_json(path)
    for name, value in os.environ.items():
        if name.startswith("AzureFunctionsJobHost__"):
            _, *parents, last = name.split("__")
            part = document
            for parent in parents:
                part = part.setdefault(parent, {})
            part[last] = value
    try:
        return HostOptions.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise HostError(f"{path.name} is wrong: {place}: {first['msg']}.") from error


def read_json(path: Path) -> Any:
    """What a file holds. Raises HostError."""
    try:
        return json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError as error:
        raise HostError(f"There is no {path.name} in {path.parent}.") from error
    except (OSError, ValueError) as error:
        raise HostError(f"{path.name} cannot be read: {error}.") from error


def setting(name: str) -> str:
    """An app setting. Raises HostError if it is missing."""
    if not (value := os.environ.get(name)):
        raise HostError(f"The setting {name} is missing.")
    return value


def resolve(text: str) -> str:
    """``%NAME%`` in a schedule or queue name becomes that setting. Raises HostError if it is missing."""
    return re.sub(r"%([^%]+)%", lambda match: setting(match[1]), text)
