"""The control API, and the commands and process that stand on it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import dev.calendar
from dev.calendar import Mistake, find_control, main, read_span, round_up
from dev.exchange import ExchangeSimulator
from tests.unit.dev.exchange.client import Client, code, envelope, find_item, subscribe
from tests.unit.dev.exchange.conftest import Listener, events

DAY = {"start": "2026-11-23T00:00:00Z", "end": "2026-11-24T00:00:00Z"}
Command = Callable[..., Coroutine[Any, Any, tuple[int, str, str]]]


@pytest.fixture
async def control(exchange: ExchangeSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=exchange.control_url) as client:
        yield client


async def test_mailboxes_are_put_read_and_removed(control: httpx.AsyncClient) -> None:
    seed = {"name": "Carla", "appointments": [{"start": "2026-11-23T10:00", "subject": "Review"}]}
    assert (await control.put("/mailboxes/carla@example.com", json=seed)).status_code == 200
    written = (await control.get("/mailboxes/carla")).json()
    assert written["appointments"][0]["start"] == "2026-11-23T09:00:00Z"
    assert (await control.put("/mailboxes", json={"mailboxes": [written]})).json() == {"count": 1}
    listed = (await control.get("/mailboxes")).json()["mailboxes"]
    assert [entry["address"] for entry in listed].count("carla@example.com") == 1
    assert (await control.delete("/mailboxes/carla")).status_code == 204
    assert (await control.get("/mailboxes/carla")).status_code == 404


async def test_of_several_mailboxes_all_are_put_or_none(control: httpx.AsyncClient) -> None:
    seeds = [{"address": "carla@example.com"}, {"address": "dora"}]
    response = await control.put("/mailboxes", json={"mailboxes": seeds})
    assert response.status_code == 400
    assert "dora" in response.json()["error"]
    assert (await control.get("/mailboxes/carla")).status_code == 404


async def test_appointments_are_added_changed_and_deleted(control: httpx.AsyncClient) -> None:
    path = "/mailboxes/a.miller/appointments"
    added = await control.post(path, json={"start": "2026-11-23T10:00", "subject": "Review"})
    assert added.status_code == 201
    assert added.json()["id"] == "1"
    moved = (await control.patch(f"{path}/1", json={"by": 15, "show_as": "free"})).json()
    assert (moved["start"], moved["show_as"]) == ("2026-11-23T09:15:00Z", "free")
    (listed,) = (await control.get(path, params=DAY)).json()["appointments"]
    assert listed == moved
    assert (await control.delete(f"{path}/1")).json()["subject"] == "Review"
    assert (await control.get(path, params=DAY)).json() == {"appointments": []}


async def test_an_all_day_appointment_moves_by_whole_days(control: httpx.AsyncClient) -> None:
    path = "/mailboxes/anna/appointments"
    await control.post(path, json={"start": "2026-10-24", "all_day": True})
    moved = (await control.patch(f"{path}/1", json={"by": 24 * 60})).json()
    assert (moved["start"], moved["end"]) == ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")
    refused = await control.patch(f"{path}/1", json={"by": 15})
    assert refused.status_code == 400
    assert "whole days" in refused.json()["error"]


async def test_an_expanded_entry_says_everything_in_plain_words(control: httpx.AsyncClient) -> None:
    data = {
        "start": "2026-11-23T10:00",
        "end": "2026-11-23T11:00",
        "subject": "Review",
        "show_as": "working_elsewhere",
        "sensitivity": "confidential",
        "organizer": "bob@example.com",
        "response": "no_response",
        "repeat": {"every": "week"},
        "uid": "ABC",
    }
    await control.post("/mailboxes/anna/appointments", json=data)
    (entry,) = (await control.get("/mailboxes/anna/appointments", params=DAY)).json()["appointments"]
    assert entry.pop("item_id").startswith("AAMk")
    assert entry == {
        "id": "1@2026-11-23",
        "uid": "ABC",
        "kind": "Occurrence",
        "subject": "Review",
        "start": "2026-11-23T09:00:00Z",
        "end": "2026-11-23T10:00:00Z",
        "all_day": False,
        "show_as": "working_elsewhere",
        "sensitivity": "confidential",
        "organizer": "bob@example.com",
        "organizer_name": "",
        "cancelled": False,
        "response": "no_response",
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "complaint"),
    [
        ("POST", "/mailboxes/nobody/appointments", {"start": "2026-11-23T10:00"}, 404, "nobody"),
        ("POST", "/mailboxes/anna/appointments", {"start": "soon"}, 400, "soon"),
        ("PATCH", "/mailboxes/anna/appointments/9", {"subject": "x"}, 404, "9"),
        ("GET", "/mailboxes/anna/appointments", None, 400, "ISO"),
        ("POST", "/faults", {"kind": "meteor"}, 400, "meteor"),
        ("POST", "/faults", {"kind": "soap", "mailbox": "nobody"}, 404, "nobody"),
        ("PUT", "/mailboxes/carla", {}, 400, "carla"),
    ],
)
async def test_what_is_wrong_is_said(
    control: httpx.AsyncClient, method: str, path: str, body: Any, status: int, complaint: str
) -> None:
    response = await control.request(method, path, json=body)
    assert response.status_code == status
    assert complaint in response.json()["error"]


async def test_faults_and_statistics(exchange: ExchangeSimulator, control: httpx.AsyncClient) -> None:
    fault = {"kind": "soap", "code": "ErrorServerBusy", "mailbox": "a.miller"}
    added = (await control.post("/faults", json=fault)).json()
    other = (await control.post("/faults", json={**fault, "mailbox": "bob"})).json()
    assert (added["mailbox"], other["mailbox"]) == ("anna@example.com", "bob@example.com")
    async with Client(exchange) as client:
        request = find_item(DAY["start"], DAY["end"])
        assert code(await client.ask(request)) == "ErrorServerBusy"
        assert (await control.get("/faults")).json()["faults"] == [added, other]
        assert (await control.delete(f"/faults/{added['id']}")).json() == {"count": 1}
        assert (await control.get("/faults")).json()["faults"] == [other]
        assert code(await client.ask(request)) == "NoError"
    seen = (await control.get("/statistics")).json()
    assert seen["operations"] == {"FindItem": 2}
    assert seen["codes"] == {"ErrorServerBusy": 1}
    assert seen["sign_ins"] == 1
    await control.delete("/statistics")
    assert (await control.get("/statistics")).json()["operations"] == {}


async def test_subscriptions_are_listed_woken_and_lost(
    exchange: ExchangeSimulator, control: httpx.AsyncClient, listener: Listener
) -> None:
    async with Client(exchange) as client:
        await client.ask(subscribe(listener.url, frequency=1440))
        (listed,) = (await control.get("/subscriptions")).json()["subscriptions"]
        assert (listed["mailbox"], listed["url"]) == ("anna@example.com", listener.url)
        assert (await control.get("/subscriptions?mailbox=bob")).json() == {"subscriptions": []}
        assert (await control.post("/subscriptions/heartbeat?mailbox=anna")).json() == {"count": 1}
        (notification,) = await listener.wait_for(1)
        assert events(notification) == ["StatusEvent"]
        assert (await control.post("/subscriptions/error?code=ErrorReadEventsFailed")).json() == {"count": 1}
        assert code((await listener.wait_for(2))[1]) == "ErrorReadEventsFailed"
        await client.ask(subscribe(listener.url, frequency=1440))
        assert (await control.delete("/subscriptions")).json() == {"count": 1}
        assert (await control.get("/subscriptions")).json() == {"subscriptions": []}


async def test_the_account_can_be_changed(exchange: ExchangeSimulator, control: httpx.AsyncClient) -> None:
    await control.put("/account", json={"user": "NEW\\me", "password": "new"})
    async with Client(exchange, user="NEW\\me", password="new", sign_in=False) as client:
        assert (await client.negotiate()).status_code == 200


@pytest.fixture
def command(exchange: ExchangeSimulator, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a calendar command against the simulator: exit code, output, errors."""

    async def run(*arguments: str) -> tuple[int, str, str]:
        result = await asyncio.to_thread(main, ["--control", exchange.control_url, *arguments])
        said = capsys.readouterr()
        return result, said.out, said.err

    return run


async def test_an_appointment_is_added_a_whole_minute_from_now(
    exchange: ExchangeSimulator, command: Command
) -> None:
    before = datetime.now(UTC)
    result, out, _ = await command(
        *("add", "--user", "a.miller", "--in", "2m", "--for", "45m", "--subject", "Review"),
        *("--show-as", "out_of_office", "--private"),
    )
    assert result == 0
    assert "Review (out of office, private)" in out
    (entry,) = exchange.expand("anna", before, before + timedelta(hours=2))
    start = datetime.fromisoformat(entry["start"])
    assert start.second == 0
    assert timedelta(minutes=2) <= start - before <= timedelta(minutes=3, seconds=10)
    assert datetime.fromisoformat(entry["end"]) - start == timedelta(minutes=45)
    assert (entry["show_as"], entry["sensitivity"]) == ("out_of_office", "private")


async def test_an_appointment_is_added_at_a_local_time(exchange: ExchangeSimulator, command: Command) -> None:
    await command("add", "--user", "anna", "--at", "2026-11-23 14:00", "--subject", "Local")
    (entry,) = exchange.expand("anna", *(datetime.fromisoformat(text) for text in DAY.values()))
    assert entry["start"] == "2026-11-23T13:00:00Z"


@pytest.mark.parametrize("at", ["2026-11-23", "2026-11-23 09:30"])
async def test_an_all_day_appointment_is_a_whole_local_day(
    exchange: ExchangeSimulator, command: Command, at: str
) -> None:
    await command("add", "--user", "anna", "--at", at, "--all-day")
    (entry,) = exchange.expand("anna", *(datetime.fromisoformat(text) for text in DAY.values()))
    assert (entry["start"], entry["end"]) == ("2026-11-22T23:00:00Z", "2026-11-23T23:00:00Z")
    assert entry["all_day"] is True


async def test_an_appointment_is_moved_and_cancelled_by_its_listed_id(
    exchange: ExchangeSimulator, command: Command
) -> None:
    await command("add", "--user", "anna", "--in", "1h", "--subject", "Review")
    _, out, _ = await command("list", "--user", "anna")
    identifier = out.split()[0]
    (before,) = exchange.expand("anna", datetime.now(UTC), datetime.now(UTC) + timedelta(days=2))
    assert (await command("move", "--user", "anna", "--id", identifier, "--by", "-15m"))[0] == 0
    (after,) = exchange.expand("anna", datetime.now(UTC), datetime.now(UTC) + timedelta(days=2))
    shift = datetime.fromisoformat(after["start"]) - datetime.fromisoformat(before["start"])
    assert shift == timedelta(minutes=-15)
    await command("move", "--user", "anna", "--id", identifier, "--to", "2026-11-23 09:00")
    (there,) = exchange.expand("anna", *(datetime.fromisoformat(text) for text in DAY.values()))
    assert there["start"] == "2026-11-23T08:00:00Z"
    assert (await command("cancel", "--user", "anna", "--id", identifier))[0] == 0
    _, out, _ = await command("list", "--user", "anna", "--hours", "100000")
    assert out == "nothing lies ahead\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("list --user nobody", "no mailbox is called nobody"),
        ("cancel --user anna --id 99", "99"),
        ("add --user anna --at soon", "'soon' is no date and time"),
    ],
)
async def test_a_mistake_is_said_in_a_sentence(command: Command, arguments: str, complaint: str) -> None:
    result, _, errors = await command(*arguments.split())
    assert result == 1
    assert complaint in errors
    assert errors.startswith("calendar: ")
    assert errors.count("\n") == 1


def test_the_control_api_is_found_by_what_runs(tmp_path: Path) -> None:
    running = tmp_path / "run.json"
    with pytest.raises(Mistake, match="nothing is running: start make run"):
        find_control(running)
    running.write_text("{}")
    with pytest.raises(Mistake, match="exchange_control"):
        find_control(running)
    running.write_text(json.dumps({"exchange_control": "http://127.0.0.1:1"}))
    assert find_control(running) == "http://127.0.0.1:1"


def test_a_simulator_that_does_not_answer_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = tmp_path / "run.json"
    running.write_text(json.dumps({"exchange_control": "http://127.0.0.1:1"}))
    monkeypatch.setattr(dev.calendar, "RUNNING", running)
    assert main(["list", "--user", "anna"]) == 1
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "span"), [("2m", 2), ("1h30m", 90), ("1d", 1440), ("-15m", -15), ("0m", 0)])
def test_spans_of_time(text: str, span: int) -> None:
    assert read_span(text) == timedelta(minutes=span)


@pytest.mark.parametrize("text", ["2", "m", "2 m", "1.5h", "2s", ""])
def test_what_is_no_span_of_time(text: str) -> None:
    with pytest.raises(Exception, match="no span of time"):
        read_span(text)


def test_rounding_up_leaves_whole_minutes_alone() -> None:
    whole = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    assert round_up(whole) == whole
    assert round_up(whole + timedelta(microseconds=1)) == whole + timedelta(minutes=1)
    assert round_up(whole - timedelta(seconds=1)) == whole


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_when_it_is_ready_and_ends_when_told(
    tmp_path: Path, stop: signal.Signals
) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps({"mailboxes": [{"address": "anna@example.com"}]}))
    authority = tmp_path / "ca.pem"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dev.exchange", "--user", "EXAMPLE\\calendar", "--password", "secret"),
        *("--ca-file", str(authority), "--seed", str(seed)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
    ready = re.fullmatch(r"exchange ready: (https://\S+) control (http://\S+)\n", line)
    assert ready
    async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(authority))) as client:
        assert (await client.post(ready[1], content=envelope(""))).status_code == 401
        assert (await client.get(f"{ready[2]}/mailboxes/anna")).json()["address"] == "anna@example.com"
    process.send_signal(stop)
    assert await asyncio.wait_for(process.wait(), 10) == 0
