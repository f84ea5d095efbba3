"""The local host as its users see it: an app, requests, messages in the emulator, and a process to stop."""

import asyncio
import base64
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueClient

from dev.azurite import Azurite, AzuriteError
from dev.host import FunctionsHost, HostError
from dev.host.configuration import QueueOptions
from dev.host.protos import TypedData
from dev.host.queues import QueueListener
from dev.host.timers import TableTimerMonitor, TimerStatus
from dev.host.worker import Result

pytest_plugins = ("tests.azurite",)
pytestmark = pytest.mark.integration

APPS = Path(__file__).parents[1] / "apps"
HOST = "AzureFunctionsJobHost__extensions__"


class App:
    """The app ``triggers`` in a host, with queues nobody else uses."""

    def __init__(self, connection: str, **settings: str) -> None:
        self.connection = connection
        self.queue_name = f"work{uuid.uuid4().hex[:12]}"
        self.settings = {
            "AzureWebJobsStorage": connection,
            "AzureFunctionsWebHost__hostid": self.queue_name,
            "WORK_QUEUE": self.queue_name,
            "TICK_SCHEDULE": "0 0 0 1 1 *",
            "DEV_HOST_FUNCTION_KEY": "function key",
            "DEV_HOST_MASTER_KEY": "master key",
            **settings,
        }

    async def __aenter__(self) -> "App":
        self.host = await FunctionsHost(root=APPS / "triggers", settings=self.settings).__aenter__()
        self.http = aiohttp.ClientSession(self.host.url)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.http.close()
        await self.host.__aexit__(None, None, None)

    async def status(self, path: str, method: str = "GET", **request: Any) -> int:
        async with self.http.request(method, path, **request) as response:
            return response.status

    async def json(self, path: str, method: str = "GET", **request: Any) -> Any:
        async with self.http.request(method, path, **request) as response:
            assert response.status == 200
            return await response.json()

    async def records(self, function: str) -> list[dict[str, Any]]:
        return [record for record in await self.json("/api/records") if record["function"] == function]

    async def record(self, function: str, count: int = 1, seconds: float = 6.0) -> list[dict[str, Any]]:
        """The records of a function as soon as there are ``count``."""
        async with asyncio.timeout(seconds):
            while True:
                found = await self.records(function)
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def queue(self, suffix: str = "") -> AsyncIterator[QueueClient]:
        async with QueueClient.from_connection_string(self.connection, self.queue_name + suffix) as queue:
            yield queue

    async def send(self, *bodies: str) -> None:
        async with self.queue() as queue:
            for body in bodies:
                await queue.send_message(base64.b64encode(body.encode()).decode())

    async def raw_messages(self, suffix: str, count: int = 1, seconds: float = 6.0) -> list[str]:
        """The messages as they lie in a queue, once there are ``count``; with 0, those there are now."""
        async with self.queue(suffix) as queue, asyncio.timeout(seconds):
            while True:
                try:
                    found = [message.content for message in await queue.peek_messages(32)]
                except ResourceNotFoundError:  # a poison queue before its first message
                    found = []
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.05)

    async def messages(self, suffix: str, count: int = 1, seconds: float = 6.0) -> list[str]:
        return [base64.b64decode(text).decode() for text in await self.raw_messages(suffix, count, seconds)]


type MakeApp = Callable[..., App]


@pytest.fixture
def app(azurite: str) -> MakeApp:
    return lambda **settings: App(azurite, **settings)


# HTTP


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
        assert await running.json("/API/Items/New") == {"item": "new"}
        assert await running.status("/api/items/x") == 404
        assert await running.status("/api/nothing") == 404
        assert await running.status("/items/5") == 404
        assert await running.status("/api/records", "POST") == 404


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
        assert response.headers.getall("Set-Cookie") == [
            "a=x%3Dy; max-age=60; path=/; secure; samesite=lax; httponly",
            "b=2; expires=Wed, 21 Oct 2026 07:28:00 GMT",
        ]


async def test_a_text_is_a_response(app: MakeApp) -> None:
    async with app() as running, running.http.get("/api/text") as response:
        assert (response.status, await response.text()) == (200, "plain")
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_what_went_wrong_is_only_in_the_log(app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    async with app() as running, running.http.get("/api/broken") as response:
        assert (response.status, await response.read()) == (500, b"")
    failed = next(record for record in caplog.records if getattr(record, "function", "") == "broken")
    assert failed.levelno == logging.ERROR
    assert "secret detail" in vars(failed)["detail"]
    assert vars(failed)["outcome"] == "failed"
    assert vars(failed)["duration_ms"] >= 0
    assert uuid.UUID(vars(failed)["invocation_id"])


async def test_a_body_over_the_limit_is_refused(app: MakeApp) -> None:
    async def chunks(size: int) -> AsyncIterator[bytes]:
        for _ in range(size):
            yield b"x"

    async with app(FUNCTIONS_REQUEST_BODY_SIZE_LIMIT="10") as running:
        assert await running.status("/api/echo/a", "POST", data=b"x" * 10) == 200
        assert await running.status("/api/echo/a", "POST", data=b"x" * 11) == 413
        assert await running.status("/api/echo/a", "POST", data=chunks(10)) == 200
        assert await running.status("/api/echo/a", "POST", data=chunks(11)) == 413


async def test_a_disabled_function_is_not_served(app: MakeApp) -> None:
    async with app(**{"AzureWebJobs.text.Disabled": "true"}) as running:
        assert await running.status("/api/text") == 404


# Administration


async def test_the_status_says_that_the_host_runs(app: MakeApp) -> None:
    async with app() as running:
        assert (await running.json("/admin/host/status"))["state"] == "Running"


async def test_the_master_key_starts_a_function(app: MakeApp) -> None:
    async with app() as running:
        for name, order in (("tick", {"input": ""}), ("work", {"input": "by hand"})):
            for key, status in (("master key", 202), ("function key", 401), ("", 401)):
                headers = {"x-functions-key": key}
                path = f"/admin/functions/{name}"
                assert await running.status(path, "POST", json=order, headers=headers) == status
        assert [record["past_due"] for record in await running.record("tick")] == [False]
        assert [record["body"] for record in await running.record("work")] == ["by hand"]


async def test_an_order_that_makes_no_sense_is_refused(app: MakeApp) -> None:
    headers = {"x-functions-key": "master key"}
    async with app() as running:
        for path, body, status in (
            ("/admin/functions/nobody", '{"input": ""}', 404),
            ("/admin/functions/tick", "nonsense", 400),
            ("/admin/functions/tick", '{"input": 5}', 400),
            ("/admin/functions/text", '{"input": ""}', 400),
        ):
            assert await running.status(path, "POST", data=body, headers=headers) == status
        assert await running.records("tick") == []


# Timers


async def test_a_timer_ticks_every_second(app: MakeApp) -> None:
    async with app(TICK_SCHEDULE="*/1 * * * * *") as running:
        ticks = await running.record("tick", count=3)
    assert [tick["past_due"] for tick in ticks[:3]] == [False] * 3
    assert [tick["at"] % 1 for tick in ticks[:3]] == pytest.approx([0.1] * 3, abs=0.2)
    assert ticks[2]["at"] - ticks[0]["at"] == pytest.approx(2, abs=0.3)


async def test_a_timer_runs_at_start_if_it_says_so(app: MakeApp) -> None:
    async with app() as running:
        assert len(await running.record("at_start")) == 1
        assert await running.records("tick") == []


async def test_a_run_missed_before_the_start_is_made_up_once(app: MakeApp) -> None:
    running = app(TICK_SCHEDULE="0 0 * * * *")
    async with TableServiceClient.from_connection_string(running.connection) as service:
        table = await service.create_table_if_not_exists(TableTimerMonitor.TABLE)
        async with table:
            monitor = TableTimerMonitor(table, running.queue_name)
            await monitor.save("tick", TimerStatus(datetime.now(UTC) - timedelta(hours=2)))
            async with running:
                assert [tick["past_due"] for tick in await running.record("tick")] == [True]
            status = await monitor.load("tick")
    assert status is not None
    assert datetime.now(UTC) - status.last < timedelta(seconds=20)
    async with running:
        await running.record("at_start")
        assert await running.records("tick") == []


# Queues


async def test_a_message_brings_what_the_queue_knows_of_it(app: MakeApp) -> None:
    async with app() as running:
        await running.send("hello")
        (record,) = await running.record("work")
        assert record["body"] == "hello"
        assert record["dequeue_count"] == 1
        assert uuid.UUID(record["id"])
        assert record["pop_receipt"]
        inserted, expires, visible = map(datetime.fromisoformat, record["times"])
        assert abs(inserted - datetime.now(UTC)) < timedelta(minutes=1)
        assert timedelta(days=6) < expires - inserted < timedelta(days=8)
        assert timedelta(minutes=9) < visible - inserted < timedelta(minutes=11)


async def test_a_message_is_deleted_after_success_and_outputs_are_written(app: MakeApp) -> None:
    async with app() as running:
        await running.send("hello")
        assert await running.messages("-out") == ["out:hello"]
        assert await running.messages("-returned") == ["returned:hello"]
    async with running.queue() as queue:
        assert (await queue.get_queue_properties()).approximate_message_count == 0


async def test_a_failing_message_is_retried_later_then_poisoned_and_its_outputs_dropped(app: MakeApp) -> None:
    async with app() as running:
        await running.send("fail")
        assert await running.messages("-poison") == ["fail"]
        attempts = await running.records("work")
        assert [attempt["dequeue_count"] for attempt in attempts] == [1, 2, 3]
        assert attempts[1]["began"] - attempts[0]["began"] > 0.9
        assert await running.messages("-out", count=0) == []
        async with running.queue() as queue:
            assert (await queue.get_queue_properties()).approximate_message_count == 0


async def test_max_dequeue_count_and_visibility_timeout_are_those_of_host_json(app: MakeApp) -> None:
    settings = {HOST + "queues__maxDequeueCount": "2", HOST + "queues__visibilityTimeout": "00:00:00"}
    async with app(**settings) as running:
        await running.send("fail")
        assert await running.messages("-poison") == ["fail"]
        attempts = await running.records("work")
        assert [attempt["dequeue_count"] for attempt in attempts] == [1, 2]
        assert attempts[1]["began"] - attempts[0]["began"] < 0.8


async def test_a_message_that_was_never_settled_is_not_tried_for_ever(app: MakeApp) -> None:
    running = app()
    async with running.queue() as queue:
        await queue.create_queue()
        await running.send("kills its host")
        for _ in range(3):
            taken = await queue.receive_message(visibility_timeout=1)
            assert taken is not None
            await queue.update_message(taken, visibility_timeout=0)
    async with running:
        assert await running.messages("-poison") == ["kills its host"]
        assert await running.records("work") == []


@pytest.mark.parametrize("batch_size", [1, 3])
async def test_as_many_messages_run_at_once_as_host_json_allows(app: MakeApp, batch_size: int) -> None:
    running = app(**{HOST + "queues__batchSize": str(batch_size), HOST + "queues__newBatchThreshold": "0"})
    async with running.queue() as queue:
        await queue.create_queue()
    await running.send(*["sleep0.2"] * 4)
    async with running:
        await running.messages("-out", count=4)
        records = await running.records("work")
    at_once = [
        sum(other["began"] <= record["began"] < other["ended"] for other in records) for record in records
    ]
    assert max(at_once) == batch_size


async def test_a_plain_message_is_poisoned_unseen_where_base64_is_expected(app: MakeApp) -> None:
    async with app() as running:
        async with running.queue() as queue:
            await queue.send_message("not base64!")
        assert await running.raw_messages("-poison") == ["not base64!"]
        assert await running.records("work") == []


async def test_messages_can_be_plain_on_both_sides(app: MakeApp) -> None:
    async with app(**{HOST + "queues__messageEncoding": "none"}) as running:
        async with running.queue() as queue:
            await queue.send_message("plain <é>")
        assert [record["body"] for record in await running.record("work")] == ["plain <é>"]
        assert await running.raw_messages("-out") == ["out:plain <é>"]


async def test_lists_and_queue_messages_can_be_sent(app: MakeApp) -> None:
    async with app() as running:
        assert await running.status("/api/send", "POST", json=["a", "b"]) == 202
        assert await running.status("/api/send-message", "POST", data=b"c") == 202
        assert await running.messages("-sent", count=3) == ["a", "b", "c"]


async def test_nothing_is_sent_by_a_function_that_fails(app: MakeApp) -> None:
    async with app() as running:
        assert await running.status("/api/send?fail=1", "POST", json=["a"]) == 500
        assert await running.messages("-sent", count=0) == []


async def test_an_output_that_cannot_be_written_fails_the_function(app: MakeApp) -> None:
    async with app() as running:
        assert await running.status("/api/send", "POST", json=["x" * 100_000]) == 500


async def test_a_queue_that_was_deleted_is_created_again(app: MakeApp) -> None:
    async with app() as running:
        async with running.queue("-sent") as queue:
            await queue.delete_queue()
        assert await running.status("/api/send", "POST", json=["a"]) == 202
        assert await running.messages("-sent") == ["a"]


async def test_a_message_stays_invisible_while_its_function_runs(azurite: str) -> None:
    running = App(azurite)
    began, may_end = asyncio.Event(), asyncio.Event()

    async def invoke(_data: TypedData, _metadata: object) -> Result:
        began.set()
        await may_end.wait()
        return Result({})

    async with running.queue() as queue, running.queue("-poison") as poison:
        await queue.create_queue()
        await running.send("long")
        stop = asyncio.Event()
        listener = QueueListener(queue, poison, QueueOptions(), invoke, lease=timedelta(seconds=2))
        task = asyncio.create_task(listener.listen(stop))
        await began.wait()
        stop.set()
        await asyncio.sleep(2.6)
        assert await queue.receive_message() is None
        may_end.set()
        await task
        assert (await queue.get_queue_properties()).approximate_message_count == 0


# Life


async def test_one_process_can_run_apps_one_after_another(app: MakeApp) -> None:
    path, names, environment = list(sys.path), set(sys.modules), dict(os.environ)
    for _ in range(2):
        async with app() as running:
            assert os.environ["WORK_QUEUE"] == running.queue_name
            assert len(await running.record("at_start")) == 1
            with pytest.raises(HostError, match="Another Functions app"):
                await app().__aenter__()
    assert sys.path == path
    assert "function_app" not in set(sys.modules) - names
    assert dict(os.environ) == environment


async def test_leaving_waits_for_the_message_being_handled(app: MakeApp) -> None:
    async with app() as running:
        await running.send("sleep0.5")
        await running.record("work")
    assert await running.messages("-returned", count=0) == ["returned:sleep0.5"]


def make_app(folder: Path, text: str, host_json: str = '{"version": "2.0"}') -> Path:
    (folder / "function_app.py").write_text(
        f"import azure.functions as func\napp = func.FunctionApp()\n{text}\n"
    )
    (folder / "host.json").write_text(host_json)
    return folder


QUEUE_FUNCTION = '@app.queue_trigger("msg", "q", "Files")\ndef f(msg: func.QueueMessage) -> None: ...'
TIMER_FUNCTION = '@app.timer_trigger("t", "{}", use_monitor={})\ndef f(t: func.TimerRequest) -> None: ...'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_like_this", r"No module named 'nothing_like_this' \(function_app.py, line 3\)"),
        ("def broken(", r"SyntaxError.*function_app.py, line 3"),
        ("del app", "Could not find top level function app"),
        ('@app.route("x")\ndef f(other: str) -> str: ...', "cannot load the f function"),
        ('@app.route("x/{id:odd}")\ndef f(req: func.HttpRequest) -> str: ...', "'odd' is not known"),
        (TIMER_FUNCTION.format("* * *", False), "schedule of f is wrong"),
        (TIMER_FUNCTION.format("%NOT_SET%", False), "setting NOT_SET is missing"),
        (TIMER_FUNCTION.format("0 0 * * * *", True), "setting AzureWebJobsStorage .* is missing"),
        (QUEUE_FUNCTION, "storage of Files does not answer"),
        (QUEUE_FUNCTION.replace("Files", "Nonsense"), "setting Nonsense is not a storage connection string"),
        (
            '@app.blob_trigger("b", "p", "Files")\ndef f(b: func.InputStream) -> None: ...',
            "blobTrigger, which this host does not know",
        ),
    ],
)
async def test_an_app_that_cannot_run_is_one_clear_sentence(tmp_path: Path, text: str, said: str) -> None:
    settings = {"Files": unreachable(), "Nonsense": "nonsense"}
    with pytest.raises(HostError, match=said) as raised:
        await FunctionsHost(root=make_app(tmp_path, text), settings=settings).__aenter__()
    assert "\n" not in str(raised.value)
    assert not FunctionsHost._active


async def test_a_directory_without_an_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"no host\.json"):
        await FunctionsHost(root=tmp_path).__aenter__()
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    with pytest.raises(HostError, match=r"no function_app\.py"):
        await FunctionsHost(root=tmp_path).__aenter__()


async def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=f"Port {port} cannot be used: Address already in use"):
            await FunctionsHost(root=make_app(tmp_path, HTTP_FUNCTION), port=port).__aenter__()


HTTP_FUNCTION = '@app.route("setting", auth_level="anonymous")\ndef f(req: func.HttpRequest) -> str:\n'
HTTP_FUNCTION += '    import os\n    return os.environ["A"] + os.environ["B"] + os.environ["C"]'


async def test_local_settings_yield_to_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("B", "environment ")
    settings = tmp_path / "local.settings.json"
    settings.write_text(json.dumps({"Values": {"A": "file ", "B": "file ", "C": "file "}}))
    root = make_app(tmp_path, HTTP_FUNCTION)
    async with (
        FunctionsHost(root=root, local_settings=settings, settings={"C": "test"}) as host,
        aiohttp.ClientSession(host.url) as http,
        http.get("/api/setting") as response,
    ):
        assert await response.text() == "file environment test"
    assert "A" not in os.environ


def unreachable() -> str:
    return "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:1/a;"


def test_azurite_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURITE", "/nowhere/azurite")
    with pytest.raises(AzuriteError, match="make setup"):
        Azurite().__enter__()


# The command


@contextmanager
def command(root: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [sys.executable, "-m", "dev.host", "--root", str(root), "--port", "0"]
    with log.open("wb") as stderr:
        process = subprocess.Popen(arguments, stderr=stderr, cwd=Path(__file__).parents[2])
        try:
            yield process
        finally:
            process.kill()
            process.wait()


async def logged(log: Path, pattern: str) -> str:
    """The group of the pattern, as soon as a line of the log matches."""
    async with asyncio.timeout(10):
        while True:
            if match := re.search(pattern, await asyncio.to_thread(log.read_text)):
                return match[1]
            await asyncio.sleep(0.05)


async def started(log: Path) -> str:
    return await logged(log, r"running at (http://[\d.:]+)")


SLOW = """
import asyncio, logging
@app.route("slow/{seconds}", auth_level="anonymous")
async def slow(req: func.HttpRequest) -> str:
    logging.info("slow began")
    await asyncio.sleep(float(req.route_params["seconds"]))
    return "done"
"""


async def test_a_signal_lets_running_functions_finish(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with command(make_app(tmp_path, SLOW), log) as process:
        url = await started(log)
        async with aiohttp.ClientSession(url) as http:
            request = asyncio.create_task(http.get("/api/slow/1?code=secret"))
            await logged(log, "(slow began)")
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
            with pytest.raises(aiohttp.ClientConnectorError):
                await http.get("/api/slow/0")
            response = await request
            assert (response.status, await response.text()) == (200, "done")
        assert await asyncio.to_thread(process.wait, 5) == 0
    text = await asyncio.to_thread(log.read_text)
    lines = [json.loads(line) for line in text.splitlines()]
    user, own = (
        next(line for line in lines if line["message"] == said) for said in ("slow began", "slow succeeded")
    )
    assert user["invocation_id"] == own["invocation_id"]
    assert (user["function"], own["function"], own["outcome"]) == ("slow", "slow", "succeeded")
    assert own["duration_ms"] >= 1000
    assert "secret" not in text
    assert "/api/slow" not in text


async def test_a_second_signal_ends_the_host_at_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with command(make_app(tmp_path, SLOW), log) as process:
        url = await started(log)
        async with aiohttp.ClientSession(url) as http:
            request = asyncio.create_task(http.get("/api/slow/30"))
            await logged(log, "(slow began)")
            process.send_signal(signal.SIGINT)
            await asyncio.sleep(0.2)
            assert process.poll() is None
            stopped = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(process.wait, 5) == 1
            assert time.monotonic() - stopped < 1
            with pytest.raises(aiohttp.ClientError):
                await request


def test_a_start_that_fails_is_one_line_and_status_1(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with command(make_app(tmp_path, "import nothing_like_this"), log) as process:
        assert process.wait(10) == 1
    (line,) = log.read_text().splitlines()
    assert line.startswith("dev.host: function_app.py cannot be loaded: ModuleNotFoundError")


def test_a_malformed_request_is_not_quoted_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with command(make_app(tmp_path, SLOW), log) as process:
        port = int(asyncio.run(started(log)).rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /api/secret\x01 HTTP/1.1\r\nBad\x00 header: secret\r\n\r\n")
            assert b" 400 " in connection.recv(1000)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    assert "secret" not in log.read_text()
