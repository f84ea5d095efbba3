"""Schemathesis asks the running API whatever its description allows, and a good deal that it forbids."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from functions.admin.api.checks import ID as CHECK
from functions.admin.api.conventions import BASE
from functions.admin.api.recording import ID as RECORD
from functions.admin.api.user import GUID
from shared.ews.recording import Record
from shared.model import Activity, Agenda, Appointment, Failure, Presence, Sensitivity, Subscription, User
from shared.sync.checking import Check, Given, Outcome, Step
from shared.sync.interfaces import Heartbeat
from shared.sync.overdue import LONGEST_SILENCE
from tests.integration.admin.conftest import Running
from tests.integration.admin.pages import now, open_services

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
)
TELLING = {"allow", "content-disposition", "etag", "location", "retry-after", "www-authenticate"}
"""Headers that are there for scripts; the others are for browsers."""

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "3"))


@dataclass
class Asked:
    """What Schemathesis complains of, and each answer with the method and the path as described."""

    failed: str
    described: dict[str, Any]
    answers: list[tuple[str, str, dict[str, Any]]]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def asked(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Of a service that knows somebody."""
    await seed(running.storage)
    folder, url, token = tmp_path_factory.mktemp("asked"), f"{BASE}/openapi.json", f"Bearer {running.token()}"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "schemathesis.cli", "run", f"{running.url}{url}"),
        *("--header", f"Authorization: {token}"),
        *("--checks", ",".join(CHECKS), "--report-har-path", "asked.har"),
        *("--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"),
        *("--suppress-health-check", "all"),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"COLUMNS": "160"},
    )
    output, _ = await process.communicate()
    async with running.browser() as browser:
        paths = (await browser.get(url, headers={"Authorization": token})).json()["paths"]
    entries = json.loads((folder / "asked.har").read_text())["log"]["entries"]
    answers = [
        (each["request"]["method"].lower(), find_path(paths, each["request"]["url"]), each["response"])
        for each in entries
    ]
    return Asked(output.decode() if process.returncode else "", paths, answers)


async def seed(connection: str) -> None:
    """Somebody, a test of the connection and a record, with the ids of the description's examples."""
    async with open_services(connection) as calendar:
        for timer in LONGEST_SILENCE:
            # Nothing is overdue: the upkeep would remove a record as old as the example's.
            await calendar.health.beat(Heartbeat(timer, now(), 0.1, ""))
        anna = User(GUID, "anna", "Anna Bauer", "Bauer, Anna", ("anna@example.com",), "branch", ("sales",))
        await calendar.users.add(anna, anna.emails)
        await calendar.listing.store([anna])
        await calendar.users.begin_subscribing(GUID, "anna@example.com", now())
        await calendar.users.set_subscription(GUID, Subscription("s", now(), now()))
        await calendar.users.set_failure(GUID, Failure("ErrorAccessDenied", "Denied.", now(), 3, None))
        begin, end = now() + timedelta(hours=1), now() + timedelta(hours=2)
        meeting = Appointment("1", begin, end, "Review")
        doctor = Appointment("2", begin, end, sensitivity=Sensitivity.PRIVATE, rank=1)
        await calendar.agendas.save(GUID, Agenda((meeting, doctor), now(), now() + timedelta(hours=48), 1))
        await calendar.outbox.put(GUID, "anna", "1", Presence(Activity.BUSY, "Busy", end))
        await calendar.outbox.acknowledge(await calendar.outbox.take(now(), 16), now())
        step = Step("pbx.login", "Sign in to the PBX", Outcome.FAILED, 0.2, "Refused.", "Correct it.", ("x",))
        await calendar.checks.create(Check(CHECK, now(), (step,), done=True), Given(None, None, ""))
        at, suffix = datetime.strptime(f"{RECORD[:-8]}+0000", "%Y%m%dT%H%M%S%f%z"), RECORD[-8:]
        sides = ({"soapaction": '"FindItem"'}, "<a/>", 200, {"request-id": "abc"}, "<b/>", "")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(secrets, "token_hex", lambda _: suffix)
            await calendar.recordings.add(Record(at, 0.2, "https://mail.example.com/EWS", *sides))


def find_path(paths: dict[str, Any], url: str) -> str:
    """The description's path of an address that was asked for, literal ones first."""
    asked = urlsplit(url).path
    for path in sorted(paths, key=lambda path: path.count("{")):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), asked):
            return path
    raise AssertionError(asked)


async def test_no_answer_is_undocumented_or_a_fault_of_the_server(asked: Asked) -> None:
    assert not asked.failed, asked.failed


async def test_everything_was_asked_for_with_success_that_works_without_a_configuration(asked: Asked) -> None:
    succeeded = {(method, path) for method, path, answer in asked.answers if answer["status"] < 300}
    everything = {(method, path) for path, methods in asked.described.items() for method in methods}
    # With a whole configuration the workers would look for its servers.
    assert everything - succeeded == {("post", f"{BASE}/read-everybody"), ("put", f"{BASE}/recording")}


async def test_every_header_for_scripts_is_described(asked: Asked) -> None:
    sent = set()
    for method, path, answer in asked.answers:
        if method in asked.described[path]:
            told = asked.described[path][method]["responses"][str(answer["status"])].get("headers", {})
            found = TELLING & {header["name"].lower() for header in answer["headers"]}
            assert found <= {name.lower() for name in told}, f"{method} {path}"
            sent |= found
    assert sent == {"content-disposition", "etag", "location", "www-authenticate"}
