"""Watches a run: the presences as the PBX has them, and whatever is wrong, a line each."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from time import monotonic
from types import TracebackType
from typing import Any, Self
from unicodedata import combining, east_asian_width
from zoneinfo import ZoneInfo

import httpx

from dev.run.expectation import Expectation, Expectations
from dev.run.lock import RunError
from dev.run.stack import ZONE, Say, Stack
from shared.state.health import Health
from shared.state.storage import Storage
from shared.state.users import UserStore

_PER_USER = 0.3
"""Seconds that the first synchronisation may take for each user, besides `_AT_LEAST`."""

_AT_LEAST = 60.0
_FEW, _STALE = 25, 30.0
"""What is expected is found out again for a few users at once, for many after so many seconds."""

_SYSTEMS = ("pbx", "exchange")


class Observer:
    """Reads the PBX by its controls, and the failures where an administrator would see them."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._client = await self._open.enter_async_context(httpx.AsyncClient(timeout=60))
        storage = await self._open.enter_async_context(Storage.open(self._stack.environment))
        self._users, self._health = UserStore(storage), Health(storage)
        self._expectations = Expectations(self._stack.exchange_control, self._client)
        await self._expectations.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def await_first_table(self, say: Say) -> bool:
        """Wait for the first synchronisation, print the table, and tell whether every presence is right."""
        users = (await self._client.get(f"{self._stack.pbx_control}/users")).json()
        mailboxes = {user["guid"]: self._expectations.find_mailbox(_addresses(user)) for user in users}
        began = looked = monotonic()
        expected = await self._expect(mailboxes)
        reported = 0
        while True:
            shown = await self._presences()
            wrong = {guid for guid in mailboxes if not _fits(expected[guid], shown[guid])}
            if wrong and (len(wrong) <= _FEW or monotonic() - looked > _STALE):
                # Time has gone on since what is expected was found out.
                looked = monotonic()
                expected |= await self._expect({guid: mailboxes[guid] for guid in wrong})
                wrong = {guid for guid in wrong if not _fits(expected[guid], shown[guid])}
            right = len(users) - len(wrong)
            if right - reported >= len(users) / 4 or not wrong:
                say("synchronising", f"{right} of {len(users)} users")
                reported = right
            if not wrong or monotonic() - began > _AT_LEAST + _PER_USER * len(users):
                break
            self._check_processes()
            await asyncio.sleep(0.3 + len(users) / 2000)
        await self._print_table(await self._presences(), mailboxes, wrong)
        return not wrong

    async def follow(self) -> None:
        """Print a line for each presence that changes and for each failure that comes or goes, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_presences())
            group.create_task(self._follow_failures())

    async def _follow_presences(self) -> None:
        url = f"{self._stack.pbx_control}/changes"
        async with self._client.stream("GET", url, timeout=None) as answer:
            async for line in answer.aiter_lines():
                change = json.loads(line)
                _report(f"{_fit(change['sip'], 12)} {_state(change)}")

    async def _follow_failures(self) -> None:
        known: dict[str, str] = {}
        while True:
            failures = await self._failures()
            for who in failures.keys() | known.keys():
                before, after = known.get(who), failures.get(who)
                if after is None:
                    _report(f"{_fit(who, 12)} works again")
                elif after != before:
                    _report(f"{_fit(who, 12)} ! {after}")
            known = failures
            self._check_processes()
            await asyncio.sleep(2)

    async def _failures(self) -> dict[str, str]:
        found = {}
        for system in _SYSTEMS:
            trouble = await self._health.trouble(system)
            if trouble is not None:
                found[system.upper()] = f"{trouble.code}: {trouble.text}"
        async for user in self._users.everybody():
            if user.failure is not None:
                found[user.user.sip] = f"{user.failure.code}: {user.failure.text}"
        return found

    def _check_processes(self) -> None:
        if name := self._stack.find_ended():
            raise RunError(f"{name} has ended by itself; its log is in {self._stack.directory / name}.log.")

    async def _presences(self) -> dict[str, dict[str, Any]]:
        listed = (await self._client.get(f"{self._stack.pbx_control}/presences")).json()
        return {shown["guid"]: shown for shown in listed}

    async def _expect(self, mailboxes: dict[str, str | None]) -> dict[str, Expectation | None]:
        now = datetime.now(UTC)

        async def expect(mailbox: str | None) -> Expectation | None:
            return await self._expectations.expect(mailbox, now) if mailbox else None

        found = await asyncio.gather(*map(expect, mailboxes.values()))
        return dict(zip(mailboxes, found, strict=True))

    async def _print_table(
        self, shown: dict[str, dict[str, Any]], mailboxes: dict[str, str | None], wrong: set[str]
    ) -> None:
        failures = await self._failures()
        print(f"\n{_fit('user', 12)} {_fit('name', 24)} {'':<5} presence")
        for guid, presence in sorted(shown.items(), key=lambda item: str(item[1]["sip"])):
            text = _state(presence)
            if mailboxes[guid] is None:
                text = f"{'':<5} (no mailbox)"
            elif guid in wrong:
                text = f"{text}  ! {failures.get(presence['sip'], 'not what the calendar calls for')}"
            print(f"{_fit(presence['sip'], 12)} {_fit(presence['name'], 24)} {text}")
        without = sum(mailbox is None for mailbox in mailboxes.values())
        print(f"\n{len(shown)} users, {without} without a mailbox, {len(wrong)} wrong", flush=True)
        for system in _SYSTEMS:
            if failure := failures.get(system.upper()):
                print(f"{system.upper()} ! {failure}", flush=True)


def _fits(expectation: Expectation | None, shown: dict[str, Any]) -> bool:
    return expectation is None or expectation.fits(shown)


def _addresses(user: dict[str, Any]) -> list[str]:
    found = [part.strip() for entry in user["emails"] for part in entry["email"].split(";")]
    name = user["h323"]
    return [*found, name if "@" in name else f"{name}@example.com"]


def _state(presence: dict[str, Any]) -> str:
    return f"{presence['activity'] or 'free':<5} {presence['display'] or '(nothing set)'}"


def _report(line: str) -> None:
    print(f"{datetime.now(ZoneInfo(ZONE)):%H:%M:%S}  {line}", flush=True)


def _fit(text: str, width: int) -> str:
    """The text filled up or cut to a number of terminal columns."""
    shown, columns = "", 0
    for character in text:
        size = 0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1
        if columns + size > width:
            break
        shown, columns = shown + character, columns + size
    return shown + " " * (width - columns)
