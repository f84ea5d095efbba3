"""An invented company to try everything with: people for the simulated PBX, calendars for Exchange."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from dev.seed.calendars import DAYS, Diary, create_mailbox
from dev.seed.people import create_people, describe_users

__all__ = ["Seed", "create_seed"]

MID_MORNING = 10


@dataclass(frozen=True, slots=True)
class Seed:
    """The seeds of the two simulators, as JSON values."""

    pbx: dict[str, Any]
    exchange: dict[str, Any]


def create_seed(
    count: int = 25,
    *,
    now: datetime,
    timezone: str = "Europe/Berlin",
    domain: str = "example.com",
    seed: int = 1,
    at_work: bool = False,
) -> Seed:
    """Invent a company of ``count`` users and its calendars for the eight days from ``now`` (aware) on.

    ``timezone`` is the IANA zone they live in, ``domain`` both of their mail and of the PBX. The same
    arguments give the same company. With ``at_work`` it is mid-morning of a working day there, whatever the
    hour. From 25 users on every kind of person and of appointment is there.
    """
    people = create_people(count, Random(seed), domain)
    local = now.astimezone(ZoneInfo(timezone))
    days = [local.date() + timedelta(days=number) for number in range(DAYS)]
    shift = timedelta(hours=local.hour - MID_MORNING) if at_work else timedelta()
    mailboxes = [
        create_mailbox(
            number,
            person,
            Diary(person, days, people, Random(f"{seed} {person.sip}"), domain, shift, at_work),
            timezone,
        )
        for number, person in enumerate(people)
        if person.mailbox
    ]
    personnel = {"address": f"personnel@{domain}", "name": "Personalabteilung", "zone": timezone}
    return Seed(describe_users(people), {"mailboxes": [*mailboxes, personnel]})
