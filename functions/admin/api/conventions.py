"""What all of the API has in common: its place, its pages, its marks of versions, its problems.

* Lists: ``?limit=`` (1 to 200) and ``?after=``; the answer is ``{"items": [...], "next": "..."}``, where
  ``next`` is the ``after`` of the following page, or null.
* A section of the configuration has an ``ETag``; a change names it in ``If-Match`` (428 without it, 412 for
  another). What is only switched (a recording, a user's exclusion) has none: the last word wins.
* Every error is ``application/problem+json`` with ``errors`` for single fields.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any

from fastapi import Header, Query
from pydantic import BaseModel, Field

from functions.admin.problems import Problem

BASE = "/api/admin/v1"

type Responses = dict[int | str, dict[str, Any]]
"""What a route answers by status, as FastAPI wants it."""

_DETAILS = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str = Field(examples=["pbx.name"])
    fault: str = Field(examples=["is missing"])
    remedy: str = Field(examples=["Enter the PBX name."])


class ProblemDetails(BaseModel):
    """RFC 9457."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["Nothing was saved."])
    errors: list[FieldProblem] = []


def with_header(name: str, description: str, example: str, *, always: bool = True) -> dict[str, Any]:
    """The header of a response; one that is not ``always`` there need not be."""
    described = {"description": description, "schema": {"type": "string"}, "example": example}
    return {"headers": {name: described | {"required": always}}}


def problems(*statuses: int) -> Responses:
    """The ``responses`` of a route that can answer with these besides the usual ones."""
    return {
        status: {"description": _DESCRIPTIONS[status], "content": _DETAILS} | _HEADERS.get(status, {})
        for status in sorted({401, 403, 500, 503, *statuses})
    }


_HEADERS = {
    401: with_header("WWW-Authenticate", "What is wrong with the token.", 'Bearer error="invalid_token"'),
    403: with_header(
        "WWW-Authenticate", "Of a token without the role.", 'Bearer error="insufficient_scope"', always=False
    ),
}
_DESCRIPTIONS = {
    400: "The request makes no sense",
    401: "No session and no access token, or one that is over or forged",
    403: "No administrator, or a request that another site made",
    404: "There is no such thing",
    409: "Not possible in the present state",
    412: "Changed by somebody else meanwhile",
    413: "More than 256 KB",
    422: "Fields are wrong; `errors` names them",
    428: "If-Match is missing",
    500: "A fault of this software",
    503: "The sign-in is not set up, or Entra ID's keys can't be read at present",
}

Limit = Annotated[int, Query(ge=1, le=200, description="The most items of the answer.")]
After = Annotated[str, Query(max_length=200, description="`next` of the page before.")]
IfMatch = Annotated[
    str | None,
    Header(description='The `ETag` of what is to be changed; `""` of what was never saved.', examples=['""']),
]


def write_etag(etag: str) -> str:
    """The ETag of a record as HTTP has it; an empty one stands for what was never stored."""
    return f'"{urlsafe_b64encode(etag.encode()).decode().rstrip("=")}"'


def read_etag(header: str | None) -> str:
    """The ETag of the record that ``If-Match`` names. Raises Problem."""
    if header is None:
        raise Problem(428, "Say by If-Match which version is to be changed.")
    text = header.strip()
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        raise Problem(412, "If-Match holds no ETag of this service.")
    return decode_etag(text[1:-1])


def decode_etag(text: str) -> str:
    """The ETag of the record as `write_etag` wrote it, without quotes. Raises Problem."""
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)).decode()
    except ValueError:
        raise Problem(412, "This version is unknown. Read it again.") from None
