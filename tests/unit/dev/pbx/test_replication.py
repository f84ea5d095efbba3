"""Replicating the users, and what is pushed meanwhile and afterwards."""

from typing import Any

import pytest

from dev.pbx import PbxSimulator
from tests.unit.dev.pbx.app import connect_app

ANNA: dict[str, Any] = {
    "guid": "a" * 32,
    "h323": "anna",
    "cn": "Anna",
    "emails": [{"email": "a@x.de"}, {"email": "b@x.de"}],
}
BERT: dict[str, Any] = {
    "guid": "b" * 32,
    "h323": "bert",
    "hide": True,
    "grps": [{"name": "sales", "mode": "active"}],
}
TRUNK: dict[str, Any] = {"guid": "f" * 32, "h323": "trunk", "pseudo": "trunk"}


async def test_one_row_comes_an_answer_without_what_is_false_or_empty_and_then_the_end() -> None:
    async with (
        PbxSimulator(users=[{**ANNA, "hide": False, "grps": []}, BERT]) as pbx,
        connect_app(pbx) as app,
    ):
        start = await app.start()
        assert (start["mt"], start["api"], start["src"]) == ("ReplicateStartResult", "PbxTableUsers", "u")
        assert list(start["columns"]) == ["guid", "h323", "cn", "hide", "emails", "grps"]
        first = await app.next()
        assert (first["mt"], first["src"]) == ("ReplicateNextResult", "u")
        assert first["columns"] == ANNA
        assert (await app.next())["columns"] == BERT
        assert await app.next() == {"mt": "ReplicateNextResult", "api": "PbxTableUsers", "src": "u"}
        assert (pbx.statistics.replications, pbx.statistics.rows) == (1, 2)


async def test_only_requested_columns_and_pseudo_types_come() -> None:
    async with PbxSimulator(users=[ANNA, TRUNK]) as pbx, connect_app(pbx) as app:
        assert await app.replicate(columns={"h323": {}}, pseudo=["", "executive"]) == [{"h323": "anna"}]
        assert await app.replicate(columns={"h323": {}}, pseudo=["trunk"]) == [{"h323": "trunk"}]
        assert len(await app.replicate(columns={"h323": {}})) == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"columns": {}},
        {"columns": ["guid"]},
        {"columns": {"guid": {}, "pwd": {}}},
        {"columns": {"guid": True}},
        {"add": "no"},
        {"pseudo": "executive"},
        {"usn": "1"},
        {"guid": 1},
    ],
)
async def test_a_faulty_start_is_refused(fault: dict[str, Any]) -> None:
    async with PbxSimulator(users=[ANNA]) as pbx, connect_app(pbx) as app:
        assert (await app.start(**fault))["error"]
        assert (await app.next())["error"]


async def test_with_guid_and_usn_only_changed_rows_come() -> None:
    async with PbxSimulator(users=[ANNA, BERT]) as pbx, connect_app(pbx) as app:
        last = await app.start()
        pbx.users.change(BERT["guid"], {"cn": "Bert"})
        pbx.users.remove(ANNA["guid"])
        for pushed in ("ReplicateUpdate", "ReplicateDel"):
            assert (await app.receive())["mt"] == pushed
        assert [row["h323"] for row in await app.replicate(guid=last["guid"], usn=last["usn"])] == ["bert"]
        assert await app.replicate(guid=last["guid"], usn=pbx.users.usn) == []
        assert len(await app.replicate(guid="0" * 32, usn=last["usn"])) == 1


async def test_an_older_pbx_numbers_nothing() -> None:
    async with PbxSimulator(users=[ANNA], numbered=False) as pbx, connect_app(pbx) as app:
        assert set(await app.start()) == {"mt", "api", "src", "columns"}
        assert set(await app.next()) == {"mt", "api", "src", "columns"}


async def test_changes_are_pushed_between_the_answers_and_afterwards() -> None:
    async with PbxSimulator(users=[ANNA, BERT]) as pbx, connect_app(pbx) as app:
        await app.start()
        assert (await app.next())["columns"]["h323"] == "anna"
        pbx.users.add({"guid": "c" * 32, "h323": "carl"})
        pbx.users.change(BERT["guid"], {"cn": "Bert", "hide": False})
        added = await app.next()
        assert (added["mt"], added["src"]) == ("ReplicateAdd", "u")
        assert added["columns"] == {"guid": "c" * 32, "h323": "carl"}
        updated = await app.receive()
        assert updated["mt"] == "ReplicateUpdate"
        assert updated["columns"] == {key: BERT[key] for key in ("guid", "h323", "grps")} | {"cn": "Bert"}
        assert (await app.receive())["columns"] == updated["columns"]
        assert "columns" not in await app.next()
        pbx.users.remove(BERT["guid"])
        removed = await app.receive()
        assert (removed["mt"], removed["columns"]) == ("ReplicateDel", {"guid": BERT["guid"]})


async def test_a_row_removed_before_its_turn_does_not_come() -> None:
    async with PbxSimulator(users=[ANNA, BERT]) as pbx, connect_app(pbx) as app:
        await app.start()
        pbx.users.remove(ANNA["guid"])
        assert (await app.receive())["mt"] == "ReplicateDel"
        assert (await app.next())["columns"]["h323"] == "bert"


async def test_a_user_who_becomes_a_trunk_is_told_as_removed() -> None:
    async with PbxSimulator(users=[ANNA]) as pbx, connect_app(pbx) as app:
        await app.start(pseudo=[""])
        pbx.users.change(ANNA["guid"], {"pseudo": "trunk"})
        assert (await app.receive())["mt"] == "ReplicateDel"
        pbx.users.change(ANNA["guid"], {"pseudo": ""})
        assert (await app.receive())["mt"] == "ReplicateAdd"


async def test_requests_for_rows_cannot_be_pipelined() -> None:
    async with PbxSimulator(users=[ANNA, BERT]) as pbx, connect_app(pbx) as app:
        await app.start()
        pbx.faults.delay = 0.05
        for _ in range(2):
            await app.send(api="PbxTableUsers", mt="ReplicateNext", src="u")
        answers = [await app.receive(), await app.receive()]
        assert [("error" in answer, "columns" in answer) for answer in answers] == [
            (False, True),
            (True, False),
        ]
        assert (await app.next())["columns"]["h323"] == "bert"


async def test_five_thousand_users_are_replicated_quickly() -> None:
    async with (
        PbxSimulator(users=({"h323": f"user{n}"} for n in range(5000))) as pbx,
        connect_app(pbx) as app,
    ):
        assert len({row["guid"] for row in await app.replicate()}) == 5000
