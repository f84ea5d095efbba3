"""Requests to an app in the local host, and its timers."""

import base64
import logging
import uuid
from functools import partial
from http.cookies import SimpleCookie

import pytest

from tests.apps.running import HOST, App, MakeApp

pytest_plugins = ("tests.azurite",)
pytestmark = pytest.mark.integration


@pytest.fixture
def app(azurite: str) -> MakeApp:
    return partial(App, azurite)


async def test_a_request_arrives_as_it_does_in_azure(app: MakeApp) -> None:
    async with app() as running:
        got = await running.json(
            "/api/echo/Bob%20B/a/b%C3%A9?x=1&y=&x=2",
            "POST",
            data=b"\x00\xff",
            headers=[("X-Thing", "1"), ("X-Thing", "2")],
        )
        assert got["method"] == "POST"
        assert got["url"] == f"{running.host.url}/api/echo/Bob%20B/a/b%C3%A9?x=1&y=&x=2"
        assert got["route"] == {"name": "Bob B", "rest": "a/bé"}
        assert got["params"] == {"x": "1,2"}
        assert got["headers"]["x-thing"] == "1,2"
        assert base64.b64decode(got["body"]) == b"\x00\xff"


async def test_routes_and_methods_choose_the_function(app: MakeApp) -> None:
    async with app() as running:
        assert await running.json("/api/items/5") == {"item": "5"}
        assert await running.json("/api/items/new") == {"item": "new"}
        assert await running.status("/api/nothing") == 404
        assert await running.status("/items/5") == 404
        assert await running.status("/api/records", "POST") == 405


async def test_the_route_prefix_is_that_of_host_json(app: MakeApp) -> None:
    async with app(**{HOST + "http__routePrefix": ""}) as running:
        assert await running.json("/items/5") == {"item": "5"}
        assert await running.status("/api/items/5") == 404


async def test_keys_open_what_they_should(app: MakeApp) -> None:
    keys = {"no key": {}, "wrong": "wrong", "function": "function key", "master": "master key"}
    allowed = {"/api/text": set(keys), "/api/locked": {"function", "master"}, "/api/vault": {"master"}}
    async with app() as running:
        for path, names in allowed.items():
            for name, key in keys.items():
                expected = 200 if name in names else 401
                headers = {"x-functions-key": key} if isinstance(key, str) else {}
                query = {"code": key} if isinstance(key, str) else {}
                assert await running.status(path, headers=headers) == expected, (path, name)
                assert await running.status(path, params=query) == expected, (path, name)


async def test_no_key_opens_anything_where_none_is_set(app: MakeApp) -> None:
    async with app(DEV_HOST_FUNCTION_KEY="", DEV_HOST_MASTER_KEY="") as running:
        assert await running.status("/api/locked", headers={"x-functions-key": ""}) == 401
        assert await running.status("/api/locked?code=") == 401


async def test_a_response_leaves_as_it_does_in_azure(app: MakeApp) -> None:
    async with app() as running, running.http.get("/api/answer") as response:
        assert response.status == 418
        assert response.headers["X-One"] == "1"
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert await response.read() == b"\x00\xff"
        # ASP.NET encodes values: a cookie's "=" comes back as "%3D".
        first, second = (SimpleCookie(text) for text in response.headers.getall("Set-Cookie"))
        assert first["a"].value == "x%3Dy"
        assert {name: value for name, value in first["a"].items() if value} == {
            "max-age": "60",
            "path": "/",
            "secure": True,
            "samesite": "lax",
            "httponly": True,
        }
        assert second["b"].value == "2"
        assert second["b"]["expires"] == "Wed, 21 Oct 2026 07:28:00 GMT"


async def test_a_text_is_a_response(app: MakeApp) -> None:
    async with app() as running, running.http.get("/api/text") as response:
        assert (response.status, await response.text()) == (200, "plain")
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_an_asgi_application_can_stand_behind_one_route(app: MakeApp) -> None:
    async with app() as running, running.http.post("/api/site/a%20b/c?q=1", data=b"body") as response:
        assert (response.status, await response.text()) == (201, "POST /api/site/a b/c q=1 body")
        assert response.headers.getall("Set-Cookie") == ["a=1; Path=/", "b=2"]


async def test_what_went_wrong_is_only_in_the_log(app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    async with app() as running, running.http.get("/api/broken") as response:
        assert (response.status, await response.read()) == (500, b"")
    failed = next(record for record in caplog.records if getattr(record, "function", "") == "broken")
    assert failed.levelno == logging.ERROR
    assert "secret detail" in vars(failed)["detail"]
    assert vars(failed)["outcome"] == "failed"
    assert vars(failed)["duration_ms"] >= 0
    assert uuid.UUID(vars(failed)["invocation_id"])


async def test_the_status_says_that_the_host_runs(app: MakeApp) -> None:
    async with app() as running:
        assert (await running.json("/admin/host/status"))["state"] == "Running"


async def test_the_master_key_starts_a_timers_function(app: MakeApp) -> None:
    async with app() as running:
        for name, key, status in (
            ("tick", "function key", 401),
            ("tick", "", 401),
            ("nobody", "master key", 404),
            ("text", "master key", 404),
            ("tick", "master key", 202),
        ):
            path, headers = f"/admin/functions/{name}", {"x-functions-key": key}
            assert await running.status(path, "POST", json={"input": ""}, headers=headers) == status
        assert [record["past_due"] for record in await running.record("tick")] == [False]


async def test_a_timer_ticks_every_second(app: MakeApp) -> None:
    async with app(TICK_SCHEDULE="*/1 * * * * *") as running:
        ticks = await running.record("tick", count=3)
    assert [tick["past_due"] for tick in ticks[:3]] == [False] * 3
    first, second, third = (int(tick["at"]) for tick in ticks[:3])
    assert (second - first, third - second) == (1, 1)
