"""Transactions of the Table service, written and read without the SDK's detours.

The SDK makes a request object, an e-mail message and a parsed answer of each step: a millisecond of processor
time, of which a minute in which thousands of presences change has none to spare. Source: "Performing entity
group transactions" of the Table service's REST API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from azure.core import MatchConditions
from azure.data.tables import TableTransactionError, UpdateMode

Step = tuple[str, Mapping[str, Any]] | tuple[str, Mapping[str, Any], Mapping[str, Any]]
"""*create*, *upsert*, *update* or *delete*, a record, ``mode``, ``etag`` and ``match_condition``."""

_METHODS = {UpdateMode.MERGE: "PATCH", UpdateMode.REPLACE: "PUT"}
_INT32 = 1 << 31

_ANSWER = re.compile(rb"^HTTP/1\.1 (\d{3})[^\r\n]*\r?\n(.*?)\r?\n\r?\n", re.MULTILINE | re.DOTALL)
_ETAG = re.compile(rb"^etag:\s*(\S[^\r\n]*?)\s*$", re.MULTILINE | re.IGNORECASE)
_ERROR = re.compile(rb"\{.*\}")


def write_transaction(table_url: str, steps: Iterable[Step], name: str) -> bytes:
    """The body of a transaction against the table at this address; ``name`` makes its boundaries.

    Raises:
        ValueError: no such operation, more than one partition, or an etag where none counts.
        TypeError: a property of a kind that no record here has.
    """
    parts = [f"--batch_{name}\r\nContent-Type: multipart/mixed; boundary=changeset_{name}\r\n\r\n"]
    partitions = set()
    for number, step in enumerate(steps):
        operation, record = step[0], step[1]
        partitions.add(record["PartitionKey"])
        parts.append(
            f"--changeset_{name}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
            f"Content-ID: {number}\r\n\r\n"
        )
        parts.append(_write_step(table_url, operation, record, **(step[2] if len(step) == 3 else {})))
    if len(partitions) > 1:
        raise ValueError("a transaction over more than one partition")
    parts.append(f"--changeset_{name}--\r\n\r\n--batch_{name}--\r\n")
    return "".join(parts).encode("ascii")


def _write_step(
    table_url: str,
    operation: str,
    record: Mapping[str, Any],
    mode: UpdateMode = UpdateMode.MERGE,
    etag: str | None = None,
    match_condition: MatchConditions | None = None,
) -> str:
    conditional = match_condition is MatchConditions.IfNotModified
    if conditional != bool(etag) or (etag and operation not in ("update", "delete")):
        raise ValueError("an etag and its condition go together, and with an update or a deletion")
    condition = f"If-Match: {etag or '*'}\r\n"
    address = f"{table_url}(PartitionKey='{_key(record['PartitionKey'])}',RowKey='{_key(record['RowKey'])}')"
    match operation:
        case "create":
            head, condition = f"POST {table_url}", ""
        case "upsert":
            head, condition = f"{_METHODS[mode]} {address}", ""
        case "update":
            head = f"{_METHODS[mode]} {address}"
        case "delete":
            return f"DELETE {address} HTTP/1.1\r\n{_HEADERS}{condition}\r\n\r\n"
        case _:
            raise ValueError(f"{operation} is no operation of a transaction")
    body = json.dumps(_properties(record))
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head} HTTP/1.1\r\n{kind}{_HEADERS}{condition}\r\n{body}\r\n"


_HEADERS = "DataServiceVersion: 3.0\r\nAccept: application/json;odata=minimalmetadata\r\n"


def _key(text: str) -> str:
    return quote(text.replace("'", "''"), safe="")


def _properties(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as JSON has it. What is no text, truth or small number needs its type beside it."""
    properties: dict[str, Any] = {}
    for name, value in record.items():
        match value:
            case None:
                continue
            case str() | bool():
                properties[name] = value
            case int() if -_INT32 <= value < _INT32:
                properties[name] = value
            case float():
                properties |= {name: value, f"{name}@odata.type": "Edm.Double"}
            case _:
                raise TypeError(f"{name}: no property of a record may be this {type(value).__name__}")
    return properties


def read_answers(body: bytes) -> list[dict[str, str]]:
    """What each record became (``etag``; nothing for one that was deleted), in the order of the steps.

    Raises:
        TableTransactionError: a step was refused, and with it all; ``status_code`` is that step's.
    """
    answers = []
    for part in _ANSWER.finditer(body):
        status = int(part[1])
        if not 200 <= status < 300:
            raise _refusal(status, body[part.end() :])
        etag = _ETAG.search(part[2])
        answers.append({"etag": etag[1].decode("ascii")} if etag else {})
    return answers


def _refusal(status: int, body: bytes) -> TableTransactionError:
    found = _ERROR.search(body)
    try:
        error = json.loads(found[0] if found else b"")["odata.error"]
        text = f"{error['message']['value']}\nErrorCode:{error['code']}"
    except (ValueError, KeyError, TypeError):
        text = f"The service refused a transaction with the status {status}."
    refusal = TableTransactionError(message=text)
    refusal.status_code = status
    return refusal
