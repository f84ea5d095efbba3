"""Queries of the Table service, written and read without the SDK's detours.

The SDK takes each property of each record through a model of its own: most of the processor time of whoever
reads many records. Source: "Query entities" and "Payload format for Table service operations" of the Table
service's REST API.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from azure.data.tables import TableEntity

Position = Mapping[str, str]
"""Where the next page of an answer begins, as parameters of its request."""

_TYPE = "@odata.type"
_CONVERSIONS = {"Edm.Double": float, "Edm.Int64": int}
"""Of the types here those that JSON may have as text."""


def write_query(
    table_url: str, filter: str, select: Sequence[str] | None, page: int | None, position: Position
) -> str:
    """The address of a page of the records that match."""
    parameters = {"$filter": filter, **position}
    if select:
        parameters["$select"] = ",".join(select)
    if page:
        parameters["$top"] = str(page)
    return f"{table_url}()?{urlencode(parameters, safe='$', quote_via=quote)}"


def read_position(headers: Mapping[str, str]) -> Position | None:
    """Where the page after this one begins; None at the end."""
    position = {
        name: value
        for name in ("NextPartitionKey", "NextRowKey")
        if (value := headers.get(f"x-ms-continuation-{name}"))
    }
    return position or None


def read_records(body: bytes) -> list[TableEntity]:
    """The records of a page, with their ETags, without the service's own time stamp.

    Raises:
        ValueError: it is no page of records.
    """
    try:
        return [_read_record(record) for record in json.loads(body)["value"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a page of records") from error


def _read_record(record: dict[str, Any]) -> TableEntity:
    entity = TableEntity()
    etag = None
    for name, value in record.items():
        if name == "odata.etag":
            etag = value
        elif name.endswith(_TYPE):
            if convert := _CONVERSIONS.get(value):
                own = name.removesuffix(_TYPE)
                record[own] = entity[own] = convert(record[own])
        elif name != "Timestamp":
            entity[name] = value
    # The SDK keeps it there and offers no way of setting it.
    entity._metadata = {"etag": etag, "timestamp": None}
    return entity
