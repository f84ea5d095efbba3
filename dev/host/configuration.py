"""What the host is told: host.json, local.settings.json and the environment.

Follows Microsoft Learn, "host.json reference for Azure Functions", "Azure Queue storage trigger and bindings:
host.json settings" and "Code and test Azure Functions locally: local settings file".
"""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel


class HostError(Exception):
    """The host cannot start; the text is one sentence for whoever started it."""


class _Options(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class QueueOptions(_Options):
    """``extensions.queues``; the defaults are those of a host in development."""

    batch_size: int = Field(default=16, ge=1, le=32)
    new_batch_threshold: int = Field(default_factory=lambda told: told["batch_size"] // 2, ge=0)
    max_dequeue_count: int = Field(default=5, ge=1)
    max_polling_interval: timedelta = Field(default=timedelta(seconds=2), ge=timedelta(milliseconds=100))
    visibility_timeout: timedelta = timedelta()
    message_encoding: Literal["base64"] = "base64"


class HttpOptions(_Options):
    """``extensions.http``."""

    route_prefix: str = "api"


class Extensions(_Options):
    """``extensions``."""

    http: HttpOptions = HttpOptions()
    queues: QueueOptions = QueueOptions()


class HostOptions(_Options):
    """host.json, as far as this host honours it."""

    version: Literal["2.0"]
    function_timeout: timedelta = timedelta(minutes=30)
    extensions: Extensions = Extensions()


def read_host_json(path: Path, settings: Mapping[str, str]) -> HostOptions:
    """host.json, with ``AzureFunctionsJobHost__a__b`` settings laid over it; raises HostError."""
    document = _read_json(path)
    for name, value in settings.items():
        prefix, *parents, last = name.split("__") if "__" in name else (name, "")
        if prefix == "AzureFunctionsJobHost":
            part = document
            for key in parents:
                part = part.setdefault(key, {})
            part[last] = value
    try:
        return HostOptions.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise HostError(
            f"{path.name} is wrong: {'.'.join(map(str, first['loc']))}: {first['msg']}."
        ) from error


def read_local_settings(path: Path) -> dict[str, str]:
    """The ``Values`` of a local.settings.json, none if there is no such file; raises HostError."""
    if not path.exists():
        return {}
    document = _read_json(path)
    values = document.get("Values", {})
    if document.get("IsEncrypted") or not isinstance(values, dict):
        raise HostError(f"'Values' of {path.name} must be an object of names and texts, not encrypted.")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def connection_string(settings: Mapping[str, str], name: str) -> str:
    """The storage connection string a binding's ``connection`` names; raises HostError if it is missing."""
    value = settings.get(f"AzureWebJobs{name}") or settings.get(name)
    if not value:
        raise HostError(f"The setting {name} (a storage connection string) is missing.")
    return value


def resolve(text: str, settings: Mapping[str, str]) -> str:
    """``%NAME%`` in a schedule or queue name becomes that setting; raises HostError if there is none."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in settings:
            raise HostError(f"'{match[0]}' does not resolve to a value: the setting {match[1]} is missing.")
        return settings[match[1]]

    return re.sub(r"%([^%]+)%", value, text)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError as error:
        raise HostError(f"There is no {path.name} in {path.parent}.") from error
    except (OSError, ValueError) as error:
        raise HostError(f"{path.name} cannot be read: {error}.") from error
    if not isinstance(document, dict):
        raise HostError(f"{path.name} must be a JSON object.")
    return document
