"""Setting presences, and what the displays show then."""

import asyncio
from datetime import UTC, datetime

import pytest

from dev.pbx import PbxSimulator, Viewer
from tests.unit.dev.pbx.app import connect_app

ANNA = {"guid": "a" * 32, "h323": "anna", "cn": "Anna Bauer", "dn": "Anna"}
BERT = {"guid": "b" * 32, "h323": "bert"}
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize("who", [{"sip": "anna"}, {"guid": "a" * 32}, {"sip": "anna", "guid": "a" * 32}])
async def test_a_presence_is_set_by_name_or_guid_and_shown(who: dict[str, str]) -> None:
    async with PbxSimulator(users=[ANNA], now=lambda: NOON) as pbx, connect_app(pbx) as app:
        await app.set_presence("p1", **who)
        assert await app.receive() == {"mt": "SetPresenceResult", "api": "PbxApi", "src": "p1"}
        phone = pbx.phone(ANNA["guid"])
        assert (phone.sip, phone.name, phone.contact) == ("anna", "Anna", "calendar:")
        assert (phone.activity, phone.note, phone.set_at) == ("busy", "Meeting", NOON)


async def test_the_newest_contact_is_shown_and_others_are_kept() -> None:
    async with PbxSimulator(users=[ANNA]) as pbx, connect_app(pbx) as app:
        await app.set_presence("1", sip="anna")
        await app.receive()
        pbx.set_by_hand(ANNA["guid"], "dnd", "Thinking")
        assert pbx.phone(ANNA["guid"]).note == "Thinking"
        await app.set_presence("2", sip="anna", activity="away", note="Lunch")
        await app.receive()
        assert [(c.contact, c.note) for c in pbx.contacts(ANNA["guid"])] == [
            ("calendar:", "Lunch"),
            ("tel:", "Thinking"),
        ]
        await app.set_presence("3", sip="anna", activity="", note="")
        await app.receive()
        assert [c.contact for c in pbx.contacts(ANNA["guid"])] == ["tel:"]


@pytest.mark.parametrize(
    "fault",
    [
        {"sip": "nobody"},
        {"guid": "0" * 32},
        {"sip": "bert", "guid": "a" * 32},
        {},
        {"sip": "anna", "activity": "available"},
        {"sip": "anna", "contact": "calendar"},
        {"sip": "anna", "contact": ""},
        {"sip": "anna", "note": 7},
        {"sip": "anna", "note": "\ud800"},
    ],
)
async def test_a_faulty_presence_is_refused_and_changes_nothing(fault: dict[str, str]) -> None:
    async with PbxSimulator(users=[ANNA, BERT]) as pbx, connect_app(pbx) as app:
        await app.set_presence("p", **fault)
        answer = await app.receive()
        assert (answer["mt"], answer["src"]) == ("SetPresenceResult", "p")
        assert isinstance(answer["error"], int)
        assert answer["errorText"]
        assert all(pbx.contacts(user["guid"]) == [] for user in (ANNA, BERT))
        assert pbx.statistics.presences_refused.total() == 1
        assert pbx.statistics.presences_set.total() == 0


async def test_sets_and_repetitions_are_counted_by_user() -> None:
    async with PbxSimulator(users=[ANNA, BERT]) as pbx, connect_app(pbx) as app:
        for number, note in enumerate(["a", "b", "b", "a", "a"]):
            await app.set_presence(str(number), sip="anna", note=note)
            await app.receive()
        await app.set_presence("free", sip="bert", activity="", note="")
        await app.receive()
        assert pbx.statistics.presences_set == {ANNA["guid"]: 5, BERT["guid"]: 1}
        assert pbx.statistics.duplicates == {ANNA["guid"]: 2, BERT["guid"]: 1}
        pbx.reset_statistics()
        assert pbx.statistics.presences_set == {}
        assert pbx.statistics.sessions == 1


async def test_a_removed_user_has_no_presence_left() -> None:
    async with PbxSimulator(users=[ANNA]) as pbx:
        pbx.set_by_hand(ANNA["guid"], "busy")
        pbx.users.remove(ANNA["guid"])
        assert pbx.contacts(ANNA["guid"]) == []
        with pytest.raises(KeyError):
            pbx.phone(ANNA["guid"])


async def test_displays_show_a_sentence_when_told_to() -> None:
    note = "Meeting until 13:30 #busy #len:7:7 #until:1772454600000"
    async with PbxSimulator(users=[ANNA], viewer=Viewer("de", "Europe/Berlin"), now=lambda: NOON) as pbx:
        async with connect_app(pbx) as app:
            await app.set_presence("1", sip="anna", note=note)
            await app.receive()
        phone = pbx.phone(ANNA["guid"])
        assert (phone.note, phone.display) == (note, "Meeting bis 13:30")


async def test_changes_can_be_watched() -> None:
    async with PbxSimulator(users=[ANNA]) as pbx:
        with pbx.watch() as changes:
            pbx.set_by_hand(ANNA["guid"], "away", "Out")
            async with asyncio.timeout(5):
                change = await anext(changes)
        assert (change.guid, change.contact.contact, change.contact.note) == (ANNA["guid"], "tel:", "Out")


async def test_a_thousand_presences_in_a_window_are_all_set() -> None:
    users = [{"h323": f"user{n}"} for n in range(1000)]
    async with PbxSimulator(users=users) as pbx, connect_app(pbx) as app:
        for start in range(0, 1000, 64):
            names = [user["h323"] for user in users[start : start + 64]]
            for name in names:
                await app.set_presence(name, sip=name)
            assert [(await app.receive())["src"] for _ in names] == names
        assert len(pbx.statistics.presences_set) == 1000
