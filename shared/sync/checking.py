"""Test connection: try the configuration step by step, saved or not, and note each step as it goes.

The steps of Exchange and of the PBX go side by side. A step that needs one that failed is not tried. Nothing
that a check does changes a presence, and no settings are kept longer than until it begins.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from time import monotonic
from typing import Protocol
from uuid import uuid4

from shared.errors import CalendarError, ExchangeError, SettingsError
from shared.settings import ExchangeSettings, PbxSettings
from shared.sync.interfaces import Clock

_log = logging.getLogger(__name__)

KEPT_FOR = timedelta(days=1)
"""After which nobody can look a check up any more."""

DEADLINE = 480.0
"""Seconds for a whole check: a function may run for ten minutes."""

_CALLBACK = re.compile(r"check-([0-9a-f]{32})")


class Outcome(StrEnum):
    """How far a step has come."""

    WAITING = "waiting"
    RUNNING = "running"
    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    NOT_TRIED = "not tried"


GOOD = frozenset({Outcome.PASSED, Outcome.WARNING})


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``text`` says what came out, ``remedy`` what to do about it, ``details`` more of it."""

    name: str
    title: str
    outcome: Outcome = Outcome.WAITING
    seconds: float = 0.0
    text: str = ""
    remedy: str = ""
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """A check as far as it has come. Nothing in it is secret."""

    id: str
    began: datetime
    steps: tuple[Step, ...]
    done: bool = False

    @property
    def passed(self) -> bool:
        """Whether all is well, warnings apart."""
        return self.done and all(step.outcome in GOOD for step in self.steps)


@dataclass(frozen=True, slots=True)
class Given:
    """The settings to try; None leaves a system out. ``address`` is the mailbox to try with."""

    pbx: PbxSettings | None
    exchange: ExchangeSettings | None
    address: str = ""


class Checks(Protocol):
    """Where checks are kept."""

    async def create(self, check: Check, given: Given) -> None:
        """Store a new check, and what is to be tried until somebody takes it."""

    async def take(self, identity: str) -> Given | None:
        """What is to be tried, to one caller only."""

    async def save(self, check: Check) -> None:
        """Store how far it has come."""

    async def get(self, identity: str, now: datetime) -> Check | None:
        """A check, or None where there is none or it is older than `KEPT_FOR`."""

    async def confirm(self, identity: str, now: datetime) -> None:
        """Exchange's notification has come."""

    async def is_confirmed(self, identity: str) -> bool:
        """Whether Exchange's notification has come."""

    async def prune(self, now: datetime) -> None:
        """Remove those that are older than `KEPT_FOR`."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A step that is to be done: what it needs, and what to do where its failure doesn't say."""

    name: str
    title: str
    needs: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What came out of a step that passed; with a ``remedy`` it is a warning."""

    text: str
    remedy: str = ""
    details: tuple[str, ...] = ()


class StepFailed(Exception):
    """A step failed with what its finding says."""

    def __init__(self, text: str, remedy: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.finding = Finding(text, remedy, tuple(details))


class Progress:
    """The steps of one check, stored after each change."""

    def __init__(self, check: Check, plan: Sequence[Planned], checks: Checks) -> None:
        self._check = check
        self._plan = {planned.name: planned for planned in plan}
        self._steps = {step.name: step for step in check.steps}
        self._checks = checks
        self._one = asyncio.Lock()

    @property
    def id(self) -> str:
        """The check's."""
        return self._check.id

    def passed(self, name: str) -> bool:
        """Whether what needs this step can be tried."""
        return self._steps[name].outcome in GOOD

    async def take(self, name: str, work: Callable[[], Awaitable[Finding]]) -> None:
        """Do one step, unless one that it needs has failed."""
        planned = self._plan[name]
        if lacking := [self._steps[need].title for need in planned.needs if not self.passed(need)]:
            await self._note(name, Outcome.NOT_TRIED, Finding(f"Not tried, because of “{lacking[0]}”."))
            return
        await self._note(name, Outcome.RUNNING, Finding(""))
        began = monotonic()
        outcome, finding = await self._attempt(planned, work)
        await self._note(name, outcome, finding, monotonic() - began)

    async def finish(self, unfinished: str) -> None:
        """End the check; ``unfinished`` says why steps are left over, if any are."""
        for name, step in self._steps.items():
            if step.outcome is Outcome.RUNNING:
                ended = replace(step, outcome=Outcome.FAILED, text=unfinished, remedy=self._plan[name].remedy)
                self._steps[name] = ended
            elif step.outcome is Outcome.WAITING:
                self._steps[name] = replace(step, outcome=Outcome.NOT_TRIED, text=unfinished)
        self._check = replace(self._check, done=True)
        await self._save()

    async def _attempt(
        self, planned: Planned, work: Callable[[], Awaitable[Finding]]
    ) -> tuple[Outcome, Finding]:
        try:
            finding = await work()
        except StepFailed as failure:
            finding = failure.finding
        except CalendarError as error:
            finding = describe(error)
        except Exception as error:
            _log.error("check failed", extra={"step": planned.name}, exc_info=error)
            finding = Finding("An error in this software.", "Report it, with what the log says.")
        else:
            return (Outcome.WARNING if finding.remedy else Outcome.PASSED), finding
        return Outcome.FAILED, replace(finding, remedy=finding.remedy or planned.remedy)

    async def _note(self, name: str, outcome: Outcome, finding: Finding, seconds: float = 0.0) -> None:
        self._steps[name] = replace(
            self._steps[name],
            outcome=outcome,
            seconds=round(seconds, 3),
            text=finding.text,
            remedy=finding.remedy,
            details=finding.details,
        )
        await self._save()

    async def _save(self) -> None:
        async with self._one:
            self._check = replace(self._check, steps=tuple(self._steps.values()))
            await self._checks.save(self._check)


def describe(error: CalendarError) -> Finding:
    """What an error says, apart from what it says to do."""
    if isinstance(error, SettingsError):
        return Finding(f"{error.field}: {error.fault}.", error.remedy)
    fact, stop, remedy = str(error).partition(". ")
    code = f" ({error.code})" if isinstance(error, ExchangeError) else ""
    return Finding(f"{fact.removesuffix('.')}{code}.", remedy if stop else "")


def complain_of(missing: Sequence[str]) -> None:
    """Raise StepFailed where settings are missing."""
    if missing:
        raise StepFailed(f"Not filled in: {', '.join(missing)}.", "Fill it in.")


def callback_of(identity: str) -> str:
    """What stands in a callback's address in the place of a user's guid."""
    return f"check-{identity}"


def check_of(key: str) -> str | None:
    """The check whose callback this is, or None where it is a user's."""
    found = _CALLBACK.fullmatch(key)
    return found[1] if found else None


class Part(Protocol):
    """The steps of one system."""

    async def run(self, progress: Progress) -> None:
        """Take them all."""


@dataclass(frozen=True, slots=True)
class Checker:
    """Begins checks and carries them out. ``divide`` gives what is to be done for the settings given."""

    checks: Checks
    request: Callable[[str], Awaitable[None]]
    """Asks for a check with this id to be carried out soon."""
    divide: Callable[[Given], Sequence[tuple[Sequence[Planned], Part]]]
    clock: Clock
    deadline: float = DEADLINE

    async def begin(self, given: Given) -> str:
        """Have these settings tried; return the id by which the check can be looked up.

        Raises:
            SettingsError: they are longer than a record can be.
        """
        now = self.clock()
        await self.checks.prune(now)
        steps = [Step(planned.name, planned.title) for plan, _ in self.divide(given) for planned in plan]
        check = Check(uuid4().hex, now, tuple(steps))
        await self.checks.create(check, given)
        await self.request(check.id)
        return check.id

    async def run(self, identity: str) -> None:
        """Carry a check out. One that was begun before is ended: it was broken off."""
        given = await self.checks.take(identity)
        if given is None:
            await self.give_up(identity)
            return
        check = await self.checks.get(identity, self.clock())
        if check is None:
            return
        parts = self.divide(given)
        progress = Progress(check, [planned for plan, _ in parts for planned in plan], self.checks)
        unfinished = "The check was broken off."
        try:
            async with asyncio.timeout(self.deadline):
                await asyncio.gather(*(part.run(progress) for _, part in parts))
        except TimeoutError:
            unfinished = "It took too long."
        finally:
            await progress.finish(unfinished)

    async def give_up(self, identity: str) -> None:
        """End a check that was broken off."""
        check = await self.checks.get(identity, self.clock())
        if check is not None and not check.done:
            plan = [Planned(step.name, step.title, (), "Begin it again.") for step in check.steps]
            await Progress(check, plan, self.checks).finish("The check was broken off.")
