"""How the PBX misbehaves when told to."""

import asyncio
from time import monotonic

import pytest

from dev.pbx import PbxSimulator
from tests.unit.dev.pbx.app import connect_app

USERS = [{"guid": f"{n:032x}", "h323": f"user{n}"} for n in range(40)]
FIRST = str(USERS[0]["guid"])


async def test_answers_come_out_of_order_but_all_of_them() -> None:
    async with PbxSimulator(users=USERS) as pbx, connect_app(pbx) as app:
        pbx.faults.shuffle = 16
        names = [str(user["h323"]) for user in USERS]
        for name in names:
            await app.set_presence(name, sip=name)
        answers = [(await app.receive())["src"] for _ in names]
        assert answers != names
        assert sorted(answers) == sorted(names)
        assert set(answers[:16]) == set(names[:16])


async def test_a_refused_or_ignored_user_does_not_hold_up_the_others() -> None:
    async with PbxSimulator(users=USERS) as pbx, connect_app(pbx) as app:
        pbx.faults.refuse, pbx.faults.ignore = {FIRST}, {str(USERS[1]["guid"])}
        for number in range(3):
            await app.set_presence(str(number), sip=f"user{number}")
        refused, accepted = await app.receive(), await app.receive()
        assert (refused["src"], "error" in refused) == ("0", True)
        assert (accepted["src"], "error" in accepted) == ("2", False)
        assert await app.silence()
        assert [bool(pbx.phone(str(user["guid"])).note) for user in USERS[:3]] == [False, False, True]
        assert pbx.statistics.presences_refused == {FIRST: 1}


async def test_every_answer_is_delayed_but_side_by_side() -> None:
    async with PbxSimulator(users=USERS) as pbx, connect_app(pbx) as app:
        pbx.faults.delay = 0.1
        begin = monotonic()
        for number in range(20):
            await app.set_presence(str(number), sip=f"user{number}")
        for _ in range(20):
            await app.receive()
        assert 0.09 < monotonic() - begin < 1


async def test_a_connection_is_cut_after_n_messages_of_which_the_last_took_effect() -> None:
    async with PbxSimulator(users=USERS) as pbx:
        async with connect_app(pbx) as app:
            pbx.faults.drop_after = 2
            for number in range(2):
                await app.set_presence(str(number), sip=f"user{number}")
            assert await app.close_code() is None
        assert [bool(pbx.phone(str(user["guid"])).note) for user in USERS[:3]] == [True, True, False]
        assert pbx.faults.drop_after is None
        async with connect_app(pbx):
            assert pbx.statistics.sessions == 1


async def test_all_connections_are_cut_at_once() -> None:
    async with PbxSimulator() as pbx, connect_app(pbx) as first, connect_app(pbx) as second:
        await pbx.drop()
        assert pbx.statistics.sessions == 0
        assert await first.close_code() is None
        assert await second.close_code() is None


async def test_a_pbx_that_went_away_comes_back_at_the_same_address_with_its_presences() -> None:
    async with PbxSimulator(users=USERS) as pbx:
        url = pbx.url
        async with connect_app(pbx) as app:
            await app.set_presence("1", sip="user0")
            await app.receive()
            await pbx.go_away()
            assert await app.close_code() is None
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", pbx.port)
        await pbx.go_away()
        await pbx.come_back()
        assert pbx.url == url
        async with connect_app(pbx):
            assert pbx.phone(FIRST).note == "Meeting"
