"""How the local host starts, refuses to start, and stops; and what its log does not say."""

import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest

from dev.host import FunctionsHost, HostError
from tests.apps.running import App, MakeApp

pytest_plugins = ("tests.azurite",)
pytestmark = pytest.mark.integration


@pytest.fixture
def app(azurite: str) -> MakeApp:
    return partial(App, azurite)


async def test_one_process_can_run_apps_one_after_another(app: MakeApp) -> None:
    path, environment = list(sys.path), dict(os.environ)
    for _ in range(2):
        sys.modules["function_app"] = ModuleType("another app's")
        async with app() as running:
            assert os.environ["WORK_QUEUE"] == running.queue_name
            assert await running.records("work") == []
            await running.send("hello")
            assert len(await running.record("work")) == 1
            with pytest.raises(HostError, match="Another Functions app"):
                await app().__aenter__()
    assert sys.path == path
    assert "function_app" not in sys.modules
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
TIMER_FUNCTION = '@app.timer_trigger("t", "{}")\ndef f(t: func.TimerRequest) -> None: ...'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_like_this", r"No module named 'nothing_like_this' \(function_app.py, line 3\)"),
        ("raise ValueError('two\\nlines')", r"ValueError: two lines \(function_app.py, line 3\)"),
        ("def broken(", r"SyntaxError.*function_app.py, line 3"),
        ("del app", "Could not find top level function app"),
        ('@app.route("x")\ndef f(other: str) -> str: ...', "cannot load the f function"),
        (
            '@app.route("x/{id:int}")\ndef f(req: func.HttpRequest) -> str: ...',
            "'api/x/{id:int}' of f is not understood",
        ),
        (TIMER_FUNCTION.format("* * *"), r"'\* \* \*' is not an NCRONTAB expression"),
        (TIMER_FUNCTION.format("%NOT_SET%"), "setting NOT_SET is missing"),
        (QUEUE_FUNCTION.replace("Files", "Absent"), "setting Absent is missing"),
        (
            '@app.route("x")\n@app.blob_output("b", "p", "Files")\n'
            "def f(req: func.HttpRequest, b: func.Out[str]) -> str: ...",
            "blob binding, which",
        ),
        (QUEUE_FUNCTION, "storage of Files does not answer"),
        (QUEUE_FUNCTION.replace("Files", "Nonsense"), "setting Nonsense is not a storage connection string"),
        (
            '@app.blob_trigger("b", "p", "Files")\ndef f(b: func.InputStream) -> None: ...',
            "blobTrigger binding, which this host does not know",
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
HTTP_FUNCTION += '    import os\n    return os.environ["A"] + os.environ["B"]'


async def test_local_settings_yield_to_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("B", "environment")
    (tmp_path / "local.settings.json").write_text(json.dumps({"Values": {"A": "file ", "B": "file"}}))
    log = tmp_path / "log"
    with command(make_app(tmp_path, HTTP_FUNCTION), log):
        async with (
            aiohttp.ClientSession(await started(log)) as http,
            http.get("/api/setting") as response,
        ):
            assert await response.text() == "file environment"


SITE = """
import base64, json
def anonymous(route, **more):
    return app.route(route, auth_level="anonymous", **more)

@anonymous("{*path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def everything(req: func.HttpRequest) -> func.HttpResponse:
    told = {"method": req.method, "route": dict(req.route_params), "headers": dict(req.headers)}
    told["body"] = base64.b64encode(req.get_body()).decode()
    answer = func.HttpResponse(json.dumps(told))
    answer.headers["X-Function"] = "everything"
    return answer

@anonymous("api/hook/{guid}/{secret}", methods=["POST"])
async def hook(req: func.HttpRequest) -> str:
    return req.route_params["guid"] + req.route_params["secret"]

@anonymous("api/hook/new/now")
async def literal(req: func.HttpRequest) -> str:
    return "literal"
"""
WITHOUT_PREFIX = '{"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}'


async def test_a_catch_all_route_gets_whatever_no_other_has(tmp_path: Path) -> None:
    root = make_app(tmp_path, SITE, WITHOUT_PREFIX)
    async with FunctionsHost(root=root) as host, aiohttp.ClientSession(host.url) as http:

        async def tell(method: str, path: str, **request: Any) -> Any:
            async with http.request(method, path, **request) as response:
                assert response.status == 200
                return await response.json(content_type=None) if "X-Function" in response.headers else None

        async with http.post("/api/hook/a/b") as response:
            assert await response.text() == "ab"
        async with http.post("/api/hook/new/now") as response:
            assert await response.text() == "literal"
        assert (await tell("GET", "/"))["route"] == {}
        for path in ("users", "users/a b", "api/hook", "api/hook/a/b/c", "administration"):
            assert (await tell("GET", f"/{path}"))["route"] == {"path": path}
        # The host in Azure too goes on to the next route where the method is another.
        assert (await tell("GET", "/api/hook/a/b"))["route"] == {"path": "api/hook/a/b"}
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            assert (await tell(method, "/x"))["method"] == method
        async with http.head("/x") as response:
            assert (response.status, response.headers["X-Function"]) == (200, "everything")
        told = await tell(
            "POST", "/", data=b"\x00\xff", headers=[("X-Two", "1"), ("X-Two", "2"), ("Cookie", "a=1; b=2")]
        )
        assert base64.b64decode(told["body"]) == b"\x00\xff"
        assert (told["headers"]["x-two"], told["headers"]["cookie"]) == ("1,2", "a=1; b=2")


def unreachable() -> str:
    return "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:1/a;"


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
    async with asyncio.timeout(60):
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


async def refused(http: aiohttp.ClientSession) -> None:
    """Return when the host takes no more requests."""
    async with asyncio.timeout(60):
        with contextlib.suppress(aiohttp.ClientError):
            while True:
                await http.get("/")


async def test_a_signal_lets_running_functions_finish(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with command(make_app(tmp_path, SLOW), log) as process:
        url = await started(log)
        async with aiohttp.ClientSession(url) as http:
            request = asyncio.create_task(http.get("/api/slow/2?code=secret"))
            await logged(log, "(slow began)")
            process.send_signal(signal.SIGTERM)
            await refused(http)
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
    assert own["duration_ms"] >= 2000
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
            assert time.monotonic() - stopped < 3
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
