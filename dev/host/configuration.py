"""What the host is told: host.json, local.settings.json and the environment.

Follows Microsoft Learn, "host.json reference for Azure Functions", "Azure Queue storage trigger and bindings:
host.json settings" and "Code and test Azure Functions locally: local settings file".
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

BODY_LIMIT = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"
DEVELOPMENT_STORAGE = "UseDevelopmentStorage=true"
# The account and key that the storage emulator documents for everybody; not a secret.
DEVELOPMENT_ACCOUNT = "devstoreaccount1"
DEVELOPMENT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class HostError(Exception):
    """The host cannot start; the text is one sentence for whoever started it."""


@dataclass(frozen=True, kw_only=True)
class QueueOptions:
    """``extensions.queues`` of host.json; defaults are those of a host in development."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    max_polling_interval: timedelta = timedelta(seconds=2)
    visibility_timeout: timedelta = timedelta()
    message_encoding: Literal["base64", "none"] = "base64"


@dataclass(frozen=True, kw_only=True)
class HostOptions:
    """host.json, as far as this host honours it."""

    route_prefix: str = "api"
    body_limit: int = 104_857_600
    """The most bytes a request's body may have."""
    queues: QueueOptions = field(default_factory=QueueOptions)


def emulator_connection(blob_port: int = 10000, queue_port: int = 10001, table_port: int = 10002) -> str:
    """The connection string of a storage emulator that listens on these ports of this machine."""
    ports = {"Blob": blob_port, "Queue": queue_port, "Table": table_port}
    ends = ";".join(
        f"{name}Endpoint=http://127.0.0.1:{port}/{DEVELOPMENT_ACCOUNT}" for name, port in ports.items()
    )
    account = f"AccountName={DEVELOPMENT_ACCOUNT};AccountKey={DEVELOPMENT_KEY}"
    return f"DefaultEndpointsProtocol=http;{account};{ends};"


def connection_string(settings: Mapping[str, str], name: str) -> str:
    """The storage connection string a binding's ``connection`` names.

    "UseDevelopmentStorage=true" means the emulator's usual ports. Raises HostError if it is missing.
    """
    value = settings.get(f"AzureWebJobs{name}") or settings.get(name)
    if not value:
        raise HostError(f"The setting {name} (a storage connection string) is missing.")
    return emulator_connection() if value.strip().rstrip(";") == DEVELOPMENT_STORAGE else value


def resolve(text: str, settings: Mapping[str, str]) -> str:
    """``%NAME%`` in a schedule or queue name becomes that setting; raises HostError if there is none."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in settings:
            raise HostError(f"'%{name}%' does not resolve to a value: the setting {name} is missing.")
        return settings[name]

    return re.sub(r"%([^%]+)%", value, text)


def read_local_settings(path: Path) -> dict[str, str]:
    """The ``Values`` of a local.settings.json; raises HostError if it cannot be read."""
    document = _read_json(path)
    values = document.get("Values", {})
    if document.get("IsEncrypted"):
        raise HostError(f"{path.name} is encrypted; only plain settings can be read.")
    if not isinstance(values, dict):
        raise HostError(f"'Values' of {path.name} must be an object of names and texts.")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def read_host_json(path: Path, settings: Mapping[str, str]) -> HostOptions:
    """host.json, with ``AzureFunctionsJobHost__a__b`` settings laid over it; raises HostError."""
    document = _read_json(path)
    if document.get("version") != "2.0":
        raise HostError(f"'version' of {path.name} must be \"2.0\".")
    for name, value in settings.items():
        prefix, *keys = name.split("__")
        if prefix == "AzureFunctionsJobHost" and keys:
            _lay_over(document, keys, value)
    try:
        extensions = document.get("extensions", {})
        queues = extensions.get("queues", {})
        prefix = str(extensions.get("http", {}).get("routePrefix", "api")).strip("/")
        return HostOptions(
            route_prefix=prefix,
            body_limit=_integer(settings, BODY_LIMIT, HostOptions.body_limit, 0, 2**31),
            queues=_queue_options(queues),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise HostError(f"{path.name} is wrong: {error}.") from error


def parse_timespan(text: str) -> timedelta:
    """A .NET time span, ``[d.]hh:mm:ss[.fff]``; raises ValueError."""
    match = re.fullmatch(r"(?:(\d+)\.)?(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?", text)
    if not match:
        raise ValueError(f"'{text}' is not a time span like 00:00:30")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _queue_options(queues: Mapping[str, Any]) -> QueueOptions:
    batch_size = _integer(queues, "batchSize", 16, 1, 32)
    interval = parse_timespan(queues.get("maxPollingInterval", "00:00:02"))
    if interval < timedelta(milliseconds=100):
        raise ValueError("maxPollingInterval must be at least 00:00:00.100")
    encoding = str(queues.get("messageEncoding", "base64")).lower()
    if encoding not in ("base64", "none"):
        raise ValueError("messageEncoding must be base64 or none")
    return QueueOptions(
        batch_size=batch_size,
        new_batch_threshold=_integer(queues, "newBatchThreshold", batch_size // 2, 0, 10_000),
        max_dequeue_count=_integer(queues, "maxDequeueCount", 5, 1, 10_000),
        max_polling_interval=interval,
        visibility_timeout=parse_timespan(queues.get("visibilityTimeout", "00:00:00")),
        message_encoding="none" if encoding == "none" else "base64",
    )


def _integer(options: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = int(options.get(name, default))
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}")
    return value


def _lay_over(document: dict[str, Any], keys: list[str], value: str) -> None:
    *parents, last = keys
    for key in parents:
        document = document.setdefault(key, {})
    document[last] = value


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
