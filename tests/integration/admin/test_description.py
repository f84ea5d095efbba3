"""The API's description."""

from __future__ import annotations

import re
from typing import Any

import httpx
import jsonschema_rs
import pytest

from functions.admin import api
from functions.admin.api.conventions import BASE
from tests.integration.admin.conftest import ROOT, Running

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


async def read(running: Running) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=running.url) as client:
        answer = await client.get(
            f"{BASE}/openapi.json", headers={"Authorization": f"Bearer {running.token()}"}
        )
    return dict(answer.json())


async def test_every_route_is_described_and_no_page(running: Running) -> None:
    document = await read(running)
    assert document["openapi"].startswith("3.1")
    routes = {
        route.path  # type: ignore[attr-defined]
        for router in api.ROUTERS
        for route in router.routes
        if route.include_in_schema  # type: ignore[attr-defined]
    }
    assert set(document["paths"]) == routes
    assert all(path.startswith(f"{BASE}/") for path in routes)


async def test_every_answer_and_every_error_has_a_schema(running: Running) -> None:
    document = await read(running)
    problem = {"$ref": "#/components/schemas/Problem"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            case = f"{method} {path}"
            assert operation["summary"], case
            responses = operation["responses"]
            assert {"401", "403", "500", "503"} <= set(responses), case
            if "requestBody" in operation:
                assert {"400", "413", "422"} <= set(responses), case
            assert responses["401"]["headers"]["WWW-Authenticate"]["required"], case
            for status, response in responses.items():
                if int(status) >= 400:
                    assert response["content"] == {"application/problem+json": {"schema": problem}}, case


async def test_the_documentation_has_the_statuses_of_errors_and_no_other(running: Running) -> None:
    text = (ROOT / "docs" / "api.md").read_text().split("## Errors")[1]
    told = re.findall(r"\d{3}", " ".join(re.findall(r"^\| (\d.*?) \|", text, re.MULTILINE)))
    paths = (await read(running))["paths"].values()
    described = {status for path in paths for each in path.values() for status in each["responses"]}
    # What cannot be done at an address is in no description of it.
    assert {status for status in described if status >= "400"} | {"405"} == set(told)


async def test_schemas_have_names_of_their_own(running: Running) -> None:
    """Of two with the same name FastAPI tells the modules, which are nobody's business."""
    schemas = (await read(running))["components"]["schemas"]
    assert [name for name in schemas if "__" in name] == []


def speaks_for_itself(schema: dict[str, Any]) -> bool:
    """Whether everybody knows what a value looks like: yes or no, a choice, a date, another schema's."""
    alternatives = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if alternatives or schema.get("type") == "array":
        return all(map(speaks_for_itself, alternatives or [schema["items"]]))
    return schema.get("type") == "boolean" or any(name in schema for name in ("$ref", "enum", "format"))


async def test_whatever_does_not_speak_for_itself_has_an_example_that_is_one(running: Running) -> None:
    document = await read(running)
    components = document["components"]
    operations = [each for path in document["paths"].values() for each in path.values()]
    fields = {
        f"{name}.{field}": schema
        for name, whole in components["schemas"].items()
        if "examples" not in whole
        for field, schema in whole.get("properties", {}).items()
    }
    inputs = {
        f"{operation['operationId']} {parameter['name']}": parameter["schema"]
        for operation in operations
        for parameter in operation.get("parameters", ())
        if parameter["in"] != "query"
    }
    bodies = {
        operation["operationId"]: operation["requestBody"]["content"]["application/json"]["schema"]
        for operation in operations
        if "requestBody" in operation
    }
    assert len(bodies) == 5
    described = fields | inputs | bodies
    unclear = {name for name, schema in described.items() if not speaks_for_itself(schema)}
    assert {name for name in unclear if not described[name].get("examples")} == set()
    for name, schema in (described | components["schemas"]).items():
        for example in schema.get("examples", ()):
            assert jsonschema_rs.is_valid({**schema, "components": components}, example), name


async def test_references_lead_somewhere(running: Running) -> None:
    document = await read(running)

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for each in value.values() for found in references(each)]
        return [found for each in value for found in references(each)] if isinstance(value, list) else []

    for reference in references(document):
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate({**schema, "components": document["components"]})
