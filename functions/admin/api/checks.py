"""Tests of the connection."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from functions.admin.api.conventions import BASE, Responses, problems, with_header
from functions.admin.context import Calendar, Now, Recording
from functions.admin.problems import FieldFault, Problem
from functions.admin.trial import System, begin_trial, describe_trial, find_trial
from shared.errors import InvalidSettings
from shared.sync.checking import Check, Outcome

router = APIRouter(prefix=BASE, tags=["checks"])


ID = "0123456789abcdef0123456789abcdef"
"""A check's, for examples."""


class CheckWish(BaseModel):
    """What to test."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"systems": ["exchange"], "mailbox": "anna@example.com"},
                {"systems": ["pbx"], "pbx": {"address": "pbx.example.com", "name": "master"}},
            ]
        },
    )

    systems: set[System] = Field(default=set(System), min_length=1)
    mailbox: str = Field(default="", description="Address to try; empty: that of the account.")
    pbx: dict[str, Any] | None = Field(
        default=None,
        description="The whole section as it would be saved; an absent or empty secret is the saved one. "
        "Absent: the saved settings.",
    )
    exchange: dict[str, Any] | None = Field(default=None, description="The same of Exchange.")


class StepState(BaseModel):
    """One step, as far as it has come."""

    name: str = Field(examples=["pbx.login"])
    title: str = Field(examples=["Sign in to the PBX"])
    outcome: Outcome = Field(examples=["failed"])
    seconds: float = Field(examples=[0.2])
    text: str = Field(examples=["The PBX refuses the app's name or password."])
    remedy: str = Field(description="What to do about it.", examples=["Correct the password."])
    details: list[str] = Field(examples=[[]])


class CheckState(BaseModel):
    """A test as far as it has come; it is forgotten after a day."""

    id: str = Field(examples=[ID])
    began: datetime
    done: bool = Field(examples=[True])
    passed: bool = Field(description="All is well, warnings apart; false until it is done.", examples=[False])
    steps: list[StepState]


_PLACE: Responses = {202: with_header("Location", "Where it is.", f"{BASE}/checks/{ID}")}


@router.post("/checks", status_code=202, responses=problems(422) | _PLACE)
async def begin(
    wish: CheckWish, calendar: Calendar, record: Recording, now: Now, response: Response
) -> CheckState:
    """Test the connection. `Location` tells how far it has come; ask there every second or so."""
    systems = sorted(wish.systems)
    given = {System.PBX: wish.pbx, System.EXCHANGE: wish.exchange}
    unsaved = {system: values for system, values in given.items() if values is not None and system in systems}
    try:
        identity = await begin_trial(calendar, systems, unsaved, wish.mailbox)
    except InvalidSettings as error:
        faults = map(FieldFault.of, error.errors)
        raise Problem(422, "Nothing was tested.", errors=faults) from error
    await record("tested the connection", describe_trial(systems, unsaved, wish.mailbox))
    response.headers["Location"] = f"{BASE}/checks/{identity}"
    return _write(await find_trial(calendar, identity, now))


@router.get("/checks/{identity}", responses=problems(404, 422))
async def show(identity: Annotated[str, Path(examples=[ID])], calendar: Calendar, now: Now) -> CheckState:
    """How far a test has come."""
    return _write(await find_trial(calendar, identity, now))


def _write(check: Check) -> CheckState:
    return CheckState(
        id=check.id,
        began=check.began,
        done=check.done,
        passed=check.passed,
        steps=[
            StepState(
                name=step.name,
                title=step.title,
                outcome=step.outcome,
                seconds=step.seconds,
                text=step.text,
                remedy=step.remedy,
                details=list(step.details),
            )
            for step in check.steps
        ],
    )
