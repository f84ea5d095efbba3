"""The API's description: OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.utils import get_openapi

from functions.admin.api.conventions import BASE, ProblemDetails, problems

router = APIRouter(include_in_schema=False)

_TEXT = """Whatever the administration page can do. Scripts send an access token of the page's application
in Entra ID with the role `Calendar.Admin`. Errors are problem details (RFC 9457). A section of the
configuration has an `ETag`, which a change names in `If-Match`; of what is only switched the last word wins.
Lists come in pages: `next` is the `after` of the next page."""


@router.get(BASE + "/openapi.json")
async def describe(request: Request) -> dict[str, Any]:
    """All that is not a page."""
    document = get_openapi(
        title="Calendar presence", version="1", description=_TEXT, routes=request.app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs")
    schemas["Problem"] = problem
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    document["security"] = [{"token": []}]
    for path in document["paths"].values():
        for operation in path.values():
            # FastAPI has a word of its own for a wrong request; here it is a problem like all others.
            if "422" in operation["responses"]:
                operation["responses"]["422"] |= problems(422)[422]
            if "requestBody" in operation:
                # What is no JSON at all, or has no end.
                operation["responses"] |= {str(each): problems(each)[each] for each in (400, 413)}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return document
