"""The invented company: every kind of person and appointment is there, at plausible times."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dev.exchange import ExchangeSimulator
from dev.pbx import PbxSimulator
from dev.seed import Seed, create_seed
from dev.seed.__main__ import main

MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
SATURDAY = MONDAY + timedelta(days=5)


@pytest.fixture(params=[MONDAY, SATURDAY], ids=["monday", "saturday"])
def seed(request: pytest.FixtureRequest) -> Seed:
    return create_seed(now=request.param)


def appointments(seed: Seed) -> Iterator[dict[str, Any]]:
    for mailbox in seed.exchange["mailboxes"]:
        yield from mailbox.get("appointments", [])


def addresses(seed: Seed) -> set[str]:
    """What Exchange knows."""
    return {a for box in seed.exchange["mailboxes"] for a in (box["address"], *box.get("aliases", ()))}


def times(appointment: dict[str, Any]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(appointment["start"]), datetime.fromisoformat(appointment["end"])


KINDS: dict[str, Any] = {
    "recurring": lambda a: a.get("repeat"),
    "series with exceptions": lambda a: a.get("exceptions"),
    "private": lambda a: a.get("sensitivity") == "private",
    "personal": lambda a: a.get("sensitivity") == "personal",
    "confidential": lambda a: a.get("sensitivity") == "confidential",
    "all-day": lambda a: a.get("all_day") and a.get("show_as") == "busy",
    "out of office": lambda a: a.get("show_as") == "out_of_office",
    "home office": lambda a: a.get("show_as") == "working_elsewhere",
    "free": lambda a: a.get("show_as") == "free",
    "no data": lambda a: a.get("show_as") == "no_data",
    "tentative": lambda a: a.get("show_as") == "tentative" and not a["organizer"].startswith("personnel@"),
    "tentative by personnel": lambda a: (
        a.get("show_as") == "tentative" and a["organizer"] == "personnel@example.com"
    ),
    "cancelled": lambda a: a.get("cancelled") is True,
    "declined": lambda a: a.get("response") == "decline",
    "organized": lambda a: a.get("response") == "organizer",
    "empty subject": lambda a: a["subject"] == "",
    "blank subject": lambda a: a["subject"] and not a["subject"].strip(),
    "umlauts": lambda a: "ü" in a["subject"],
    "emoji": lambda a: "🎉" in a["subject"],
    "hash": lambda a: "#" in a["subject"],
    "long subject": lambda a: len(a["subject"]) > 128,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_appointment_is_there(seed: Seed, kind: str) -> None:
    assert any(KINDS[kind](appointment) for appointment in appointments(seed))


def test_some_meetings_overlap(seed: Seed) -> None:
    [first, second] = [
        next(a for a in appointments(seed) if a["subject"] == subject)
        for subject in ("Lenkungskreis", "Kundenanruf")
    ]
    assert times(first)[0] < times(second)[0] < times(first)[1] < times(second)[1]


def test_every_way_to_a_mailbox_is_there(seed: Seed) -> None:
    users = {user["h323"]: user for user in seed.pbx["users"]}
    emails = {sip: [entry["email"] for entry in user["emails"]] for sip, user in users.items()}
    known = addresses(seed)
    assert emails["anna"] == ["anna.bauer@example.com"]
    assert len(emails["joerg"]) == 2
    assert [email in known for email in emails["joerg"]] == [False, True]
    assert emails["zoe"][0].count(";") == 1
    assert {email.strip() for email in emails["zoe"][0].split(";")} <= known
    assert emails["guenter"]
    assert not {"guenter@example.com", *emails["guenter"]} & known
    assert emails["mia"] == []
    assert "mia@example.com" in known
    assert users["soeren"]["h323-email"] is True
    assert "soeren@example.com" in known
    assert emails["kaethe"][0] in known
    assert emails["kaethe"][0] not in {box["address"] for box in seed.exchange["mailboxes"]}
    without = [sip for sip in users if not {f"{sip}@example.com", *";".join(emails[sip]).split(";")} & known]
    assert without == ["guenter"]


def test_groups_apps_and_homes_differ(seed: Seed) -> None:
    users = seed.pbx["users"]
    assert len({user["grps"][0]["name"] for user in users}) == 5
    assert 0 < sum("calendar" in user["apps"].split(",") for user in users) < len(users)
    assert {user["loc"] for user in users} == {"master", "hamburg"}


@pytest.mark.parametrize("count", [1, 25, 1000])
def test_everybody_has_a_name_and_an_address_of_their_own(count: int) -> None:
    seed = create_seed(count, now=MONDAY)
    users = seed.pbx["users"]
    assert (
        len(users) == len({user["h323"] for user in users}) == len({user["guid"] for user in users}) == count
    )
    boxes = [
        address for box in seed.exchange["mailboxes"] for address in (box["address"], *box.get("aliases", ()))
    ]
    assert len(boxes) == len(set(boxes))
    assert all(user["h323"].replace(".", "").isalnum() and user["h323"].isascii() for user in users)
    assert all(box.isascii() for box in boxes)


def test_the_same_arguments_give_the_same_company_and_another_seed_another() -> None:
    assert create_seed(now=MONDAY) == create_seed(now=MONDAY)
    assert create_seed(now=MONDAY) != create_seed(now=MONDAY, seed=2)


def test_single_meetings_are_on_working_days_in_working_hours_and_not_longer_than_a_day(seed: Seed) -> None:
    for appointment in appointments(seed):
        begin, end = times(appointment)
        assert begin < end
        if appointment.get("all_day"):
            assert (begin.hour, end.hour) == (0, 0)
        elif "repeat" not in appointment and appointment["subject"] != "Wartungsfenster":
            assert end - begin <= timedelta(hours=5)
            assert 8 <= begin.hour <= 18
            assert end.hour <= 20
            assert begin.minute in (0, 30)
            if appointment["subject"] != "Mittagessen":
                assert begin.weekday() < 5


def test_the_days_from_now_on_are_filled(seed: Seed) -> None:
    days = {times(a)[0].date() for a in appointments(seed) if "repeat" not in a}
    working = {day for day in days if day.weekday() < 5 and day >= MONDAY.date()}
    assert len(working) >= 5


def test_today_is_that_of_the_companys_zone() -> None:
    late = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
    [night] = [
        a
        for a in appointments(create_seed(now=late, timezone="Asia/Tokyo"))
        if a["subject"] == "Wartungsfenster"
    ]
    assert night["start"] == "2026-03-03T22:00:00"
    assert all(
        box["zone"] == "Asia/Tokyo"
        for box in create_seed(now=late, timezone="Asia/Tokyo").exchange["mailboxes"]
    )


@pytest.mark.parametrize("hour", range(24))
def test_at_work_it_is_mid_morning_whatever_the_hour_and_the_day(hour: int) -> None:
    sunday_night = datetime(2026, 11, 22, hour, 20, tzinfo=UTC)
    local = sunday_night.astimezone(ZoneInfo("Europe/Berlin")).replace(tzinfo=None)
    seed = create_seed(now=sunday_night, at_work=True)
    near = [times(a) for a in appointments(seed) if "repeat" not in a and not a.get("all_day")]
    assert sum(begin <= local < end for begin, end in near) >= 2
    assert sum(local < begin < local + timedelta(hours=4) for begin, _ in near) >= 8


async def test_both_simulators_take_it(seed: Seed) -> None:
    assert len(PbxSimulator(users=seed.pbx["users"]).users) == 25
    async with ExchangeSimulator(seed=seed.exchange["mailboxes"]) as exchange:
        assert len(exchange.directory) == len(seed.exchange["mailboxes"]) == 25


def test_the_command_writes_both_files(tmp_path: Path) -> None:
    pbx, exchange = tmp_path / "pbx.json", tmp_path / "exchange.json"
    main(["--users", "7", "--now", MONDAY.isoformat(), "--pbx", str(pbx), "--exchange", str(exchange)])
    expected = create_seed(7, now=MONDAY)
    assert json.loads(pbx.read_text("utf-8")) == expected.pbx
    assert json.loads(exchange.read_text("utf-8")) == expected.exchange


def test_an_instant_without_an_offset_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--now", "2026-03-02", "--pbx", str(tmp_path / "p"), "--exchange", str(tmp_path / "e")])
    assert "offset" in capsys.readouterr().err
