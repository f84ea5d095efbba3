"""A session with the simulated PBX, over TLS and a real websocket."""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any, Literal

import pytest

from dev.pbx import PbxSimulator
from dev.pbx.switchboard import APIS
from shared.errors import PbxLoginRefused, PbxUnavailable, PresenceRefused, WrongPbx
from shared.pbx.protocol import Identity, TableRow
from shared.pbx.session import WINDOW, Assignment, PbxLink, PbxSession, open_session

USERS = [{"guid": f"{n:032x}", "h323": f"user{n}"} for n in range(3 * WINDOW)]
FIRST, SECOND, THIRD = (str(user["guid"]) for user in USERS[:3])
ANNA: dict[str, Any] = {"guid": "a" * 32, "h323": "anna", "emails": [{"email": "a@example.com"}]}
BERT: dict[str, Any] = {"guid": "b" * 32, "h323": "bert", "grps": [{"name": "sales", "mode": "active"}]}
IMPATIENT = 0.3


def link_to(pbx: PbxSimulator, **deviations: str) -> PbxLink:
    values = {
        "url": pbx.url,
        "name": "master",
        "app": "calendarsync",
        "password": "secret",
        "certificate": pbx.ca_pem,
    }
    return PbxLink(**values | deviations)


def assignments(count: int = len(USERS), note: str = "Meeting") -> list[Assignment]:
    return [Assignment(str(user["guid"]), str(user["h323"]), "busy", note) for user in USERS[:count]]


async def replicate(
    session: PbxSession, meanwhile: Callable[[TableRow], None] = lambda row: None
) -> list[TableRow]:
    rows = []
    async for row in session.users():
        rows.append(row)
        meanwhile(row)
    return rows


async def refusal(link: PbxLink, patience: float = 30.0) -> PbxUnavailable:
    """The error with which no session comes about."""
    with pytest.raises(PbxUnavailable) as caught:
        async with open_session(link, patience=patience):
            pass
    assert "secret" not in f"{caught.value!r}"
    return caught.value


# ---- signing in


async def test_the_session_is_signed_in_and_knows_the_pbx() -> None:
    async with PbxSimulator() as pbx:
        async with open_session(link_to(pbx)) as session:
            assert session.identity == Identity("master", "example.com")
            assert (pbx.statistics.logins, pbx.statistics.sessions) == (1, 1)
        assert (pbx.statistics.sessions, pbx.statistics.errors) == (0, 0)


@pytest.mark.parametrize("wrong", [{"password": "Secret"}, {"app": "calendar"}])
async def test_a_wrong_password_or_app_is_refused(wrong: dict[str, str]) -> None:
    async with PbxSimulator() as pbx:
        error = await refusal(link_to(pbx, **wrong))
        assert isinstance(error, PbxLoginRefused)
        app = wrong.get("app", "calendarsync")
        assert str(error) == (
            f"pbx.password: the PBX refused the app {app!r} (error 7: login refused). "
            "Compare name and password with the App object on the PBX."
        )
        assert (pbx.statistics.logins_refused, pbx.statistics.sessions) == (1, 0)


async def test_a_connection_cut_at_the_login_counts_as_refused() -> None:
    async with PbxSimulator() as pbx:
        pbx.faults.drop_after = 2
        error = await refusal(link_to(pbx))
        assert isinstance(error, PbxLoginRefused)
        assert "(the PBX closed the connection)" in str(error)


async def test_another_pbx_is_refused_with_both_names() -> None:
    async with PbxSimulator(name="slave") as pbx:
        error = await refusal(link_to(pbx))
        assert isinstance(error, WrongPbx)
        assert (error.expected, error.found) == ("master", "slave")
        assert pbx.statistics.sessions == 0


@pytest.mark.parametrize("ungranted", ["error", "silence"])
async def test_without_the_admin_api_the_session_works_and_the_name_is_unknown(
    ungranted: Literal["error", "silence"],
) -> None:
    apis = APIS - {"PbxAdminApi"}
    async with (
        PbxSimulator(name="whatever", users=USERS, apis=apis, ungranted=ungranted) as pbx,
        open_session(link_to(pbx), patience=IMPATIENT) as session,
    ):
        assert session.identity is None
        assert len(await replicate(session)) == len(USERS)
        assert [outcome.error for outcome in await session.set_presences(assignments(1))] == [None]


async def test_a_connection_cut_after_the_login_is_not_taken_for_a_missing_api() -> None:
    async with PbxSimulator() as pbx:
        pbx.faults.drop_after = 3
        began = monotonic()
        error = await refusal(link_to(pbx))
        assert (type(error), str(error)) == (PbxUnavailable, "The PBX closed the connection.")
        assert monotonic() - began < 8


async def test_a_silent_pbx_is_waited_for_no_longer_than_allowed() -> None:
    async with PbxSimulator() as pbx:
        pbx.faults.delay = 60
        began = monotonic()
        error = await refusal(link_to(pbx), IMPATIENT)
        assert (type(error), str(error)) == (PbxUnavailable, "The PBX did not answer within 0.3 s.")
        assert IMPATIENT <= monotonic() - began < 8


# ---- the way to the PBX


async def test_a_certificate_that_is_not_trusted_is_refused() -> None:
    async with PbxSimulator() as pbx, PbxSimulator() as other:
        for certificate in ("", other.ca_pem):
            error = await refusal(link_to(pbx, certificate=certificate))
            assert type(error) is PbxUnavailable
            assert str(error).startswith("pbx.certificate: the PBX's certificate is not trusted (")
            assert str(error).endswith("Configure the certificate or the authority that signed it.")
        assert pbx.statistics.connections == 0


async def test_a_pbx_that_is_away_is_said_to_be_away() -> None:
    async with PbxSimulator() as pbx:
        await pbx.go_away()
        error = await refusal(link_to(pbx))
        assert (type(error), str(error)) == (
            PbxUnavailable,
            "pbx.address: no connection to the PBX. Check that the PBX is running, and its address.",
        )
        await pbx.come_back()
        async with open_session(link_to(pbx)):
            assert pbx.statistics.sessions == 1


async def test_an_address_without_a_websocket_is_not_a_pbx() -> None:
    async with PbxSimulator() as pbx:
        error = await refusal(link_to(pbx, url=pbx.url.replace("PBX0", "PBX1")))
        assert str(error) == "pbx.address: what answered is not a PBX's websocket. Correct the address."


async def test_an_address_without_tls_is_no_pbx_either() -> None:
    async with PbxSimulator() as pbx:
        error = await refusal(link_to(pbx, url=pbx.control_url.replace("http:", "wss:")))
        assert str(error).startswith("pbx.address: no connection to the PBX.")


# ---- users


async def test_all_users_are_replicated() -> None:
    async with PbxSimulator(users=[ANNA, BERT]) as pbx, open_session(link_to(pbx)) as session:
        anna, bert = await replicate(session)
        assert anna.user is not None
        assert (anna.user.sip, anna.user.emails) == ("anna", ("a@example.com",))
        assert bert.user is not None
        assert (bert.guid, bert.user.sip, bert.user.groups) == (BERT["guid"], "bert", ("sales",))
        assert pbx.statistics.errors == 0


async def test_an_older_pbx_that_numbers_nothing_is_replicated_too() -> None:
    async with (
        PbxSimulator(users=USERS, numbered=False) as pbx,
        open_session(link_to(pbx)) as session,
    ):
        assert [row.guid for row in await replicate(session)] == [user["guid"] for user in USERS]


async def test_a_pbx_without_users_lists_none() -> None:
    async with PbxSimulator() as pbx, open_session(link_to(pbx)) as session:
        assert await replicate(session) == []


async def test_what_changes_meanwhile_comes_after_the_rows() -> None:
    carl = {"guid": "c" * 32, "h323": "carl"}

    async with PbxSimulator(users=[ANNA, BERT]) as pbx, open_session(link_to(pbx)) as session:

        def change(row: TableRow) -> None:
            if row.guid == ANNA["guid"] and not pbx.users.find(sip="carl"):
                pbx.users.add(carl)
                pbx.users.change(BERT["guid"], {"cn": "Bert"})
                pbx.users.change(BERT["guid"], {"cn": "Bertie", "h323-email": True})
                pbx.users.remove(ANNA["guid"])

        rows = await replicate(session, change)
        told = [
            (row.guid[0], row.user.common_name if row.user else None, row.name_is_address) for row in rows
        ]
        assert told == [
            ("a", "", False),
            ("b", "Bertie", True),
            ("c", "", False),
            ("b", "Bert", False),
            ("b", "Bertie", True),
            ("a", None, False),
        ]
        assert [row.guid[0] for row in await replicate(session)] == ["b", "c"]


async def test_a_connection_lost_while_replicating_is_not_the_end_of_the_table() -> None:
    async with PbxSimulator(users=USERS) as pbx, open_session(link_to(pbx)) as session:
        rows: list[TableRow] = []

        def cut(row: TableRow) -> None:
            rows.append(row)
            if len(rows) == 5:
                pbx.faults.drop_after = 3

        with pytest.raises(PbxUnavailable, match=r"^The PBX closed the connection\.$"):
            await replicate(session, cut)
        assert len(rows) == 7


@pytest.mark.parametrize(
    ("ungranted", "reason"),
    [("error", "error 3: the app has no right to use PbxTableUsers"), ("silence", "it does not answer")],
)
async def test_without_the_users_api_the_remedy_is_said(
    ungranted: Literal["error", "silence"], reason: str
) -> None:
    apis = APIS - {"PbxTableUsers"}
    async with (
        PbxSimulator(apis=apis, ungranted=ungranted) as pbx,
        open_session(link_to(pbx), patience=IMPATIENT) as session,
    ):
        with pytest.raises(PbxLoginRefused) as caught:
            await replicate(session)
        assert str(caught.value) == (
            f"The PBX does not let this app use the API TableUsers ({reason}). "
            "Tick it at the App object on the PBX."
        )


async def test_a_session_that_was_lost_is_not_taken_for_a_missing_users_api() -> None:
    async with PbxSimulator(users=USERS) as pbx, open_session(link_to(pbx)) as session:
        await pbx.drop()
        with pytest.raises(PbxUnavailable) as caught:
            await replicate(session)
        assert type(caught.value) is PbxUnavailable


# ---- presences


async def test_presences_are_set() -> None:
    async with PbxSimulator(users=USERS) as pbx, open_session(link_to(pbx)) as session:
        outcomes = await session.set_presences(assignments(note="Büro ✓"))
        assert [outcome.error for outcome in outcomes] == [None] * len(USERS)
        assert [outcome.assignment for outcome in outcomes] == assignments(note="Büro ✓")
        phones = [pbx.phone(str(user["guid"])) for user in USERS]
        assert {(phone.contact, phone.activity, phone.note) for phone in phones} == {
            ("calendar:", "busy", "Büro ✓")
        }
        assert set(pbx.statistics.presences_set.values()) == {1}
        assert await session.set_presences([]) == []


async def test_answers_may_come_in_any_order() -> None:
    async with PbxSimulator(users=USERS) as pbx, open_session(link_to(pbx)) as session:
        pbx.faults.shuffle = WINDOW // 2
        pbx.faults.refuse = {SECOND}
        outcomes = await session.set_presences(assignments())
        assert [outcome.assignment for outcome in outcomes] == assignments()
        assert [outcome.assignment.guid for outcome in outcomes if outcome.error] == [SECOND]


async def test_a_refused_user_does_not_stop_the_others() -> None:
    async with PbxSimulator(users=USERS) as pbx, open_session(link_to(pbx)) as session:
        pbx.faults.refuse = {FIRST}
        refused, *others = await session.set_presences(assignments())
        assert isinstance(refused.error, PresenceRefused)
        assert (refused.error.code, str(refused.error)) == (
            6,
            "The PBX answered error 6: presence refused.",
        )
        assert {outcome.error for outcome in others} == {None}


async def test_an_unanswered_user_does_not_stop_the_others() -> None:
    async with (
        PbxSimulator(users=USERS) as pbx,
        open_session(link_to(pbx), patience=IMPATIENT) as session,
    ):
        pbx.faults.ignore = {FIRST, THIRD}
        outcomes = await session.set_presences(assignments())
        unanswered = {outcome.assignment.guid: outcome.error for outcome in outcomes if outcome.error}
        assert list(unanswered) == [FIRST, THIRD]
        for error in unanswered.values():
            assert isinstance(error, PresenceRefused)
            assert (error.code, str(error).split(".")[0]) == (
                None,
                "The PBX did not answer when the presence was set",
            )
        assert [outcome.error for outcome in await session.set_presences(assignments()[5:6])] == [None]


async def test_a_user_who_is_alone_and_unanswered_does_not_stop_those_who_come_after() -> None:
    async with (
        PbxSimulator(users=USERS) as pbx,
        open_session(link_to(pbx), patience=IMPATIENT) as session,
    ):
        pbx.faults.ignore = {FIRST}
        [outcome] = await session.set_presences(assignments(1))
        assert isinstance(outcome.error, PresenceRefused)
        assert "tick PbxApi at the App object" in str(outcome.error)
        assert [outcome.error for outcome in await session.set_presences(assignments()[1:9])] == [None] * 8


async def test_a_presence_api_that_is_refused_says_so_for_each_user() -> None:
    async with (
        PbxSimulator(users=USERS, apis=APIS - {"PbxApi"}) as pbx,
        open_session(link_to(pbx)) as session,
    ):
        for outcome in await session.set_presences(assignments(3)):
            assert isinstance(outcome.error, PresenceRefused)
            assert str(outcome.error) == ("The PBX answered error 3: the app has no right to use PbxApi.")


async def test_a_presence_api_that_is_silent_is_not_asked_for_everybody() -> None:
    async with (
        PbxSimulator(users=USERS, apis=APIS - {"PbxApi"}, ungranted="silence") as pbx,
        open_session(link_to(pbx), patience=IMPATIENT) as session,
    ):
        outcomes = await session.set_presences(assignments())
        errors = [outcome.error for outcome in outcomes]
        assert sum(isinstance(error, PresenceRefused) for error in errors) == 1
        assert all(isinstance(error, PresenceRefused | PbxUnavailable) for error in errors)
        sentence = (
            "The PBX does not let this app use the API PbxApi (it does not answer). "
            "Tick it at the App object on the PBX."
        )
        assert {str(error) for error in errors if isinstance(error, PbxUnavailable)} == {sentence}
        assert any(isinstance(error, PbxLoginRefused) for error in errors)
        assert pbx.statistics.messages < 2 * WINDOW


async def test_a_connection_lost_in_the_middle_of_a_window_loses_only_what_had_no_answer() -> None:
    async with PbxSimulator(users=USERS) as pbx, open_session(link_to(pbx)) as session:
        assert [outcome.error for outcome in await session.set_presences(assignments(5))] == [None] * 5
        pbx.faults.drop_after = WINDOW + 20
        began = monotonic()
        outcomes = await session.set_presences(assignments())
        assert monotonic() - began < 8
        acknowledged = [outcome for outcome in outcomes if outcome.error is None]
        assert 20 <= len(acknowledged) < WINDOW + 20
        assert {
            (type(outcome.error), str(outcome.error)) for outcome in outcomes if outcome.error is not None
        } == {(PbxUnavailable, "The PBX closed the connection.")}


async def test_a_connection_lost_before_the_first_answer_is_not_taken_for_a_missing_api() -> None:
    async with PbxSimulator(users=USERS) as pbx, open_session(link_to(pbx)) as session:
        pbx.faults.drop_after = 1
        outcomes = await session.set_presences(assignments())
        assert {type(outcome.error) for outcome in outcomes} == {PbxUnavailable}


# ---- secrets


async def test_neither_secrets_nor_notes_nor_names_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with PbxSimulator(users=[ANNA], app="appname") as pbx:
        async with open_session(link_to(pbx, app="appname")) as session:
            await replicate(session)
            await session.set_presences([Assignment(ANNA["guid"], "anna", "busy", "Subject")])
        await refusal(link_to(pbx, password="othersecret"))
    logged = " ".join(record.getMessage() for record in caplog.records)
    for private in ("secret", "digest", "Subject", "anna", "a@example.com", "AppLogin"):
        assert private not in logged


def test_the_way_to_the_pbx_is_printed_without_the_password() -> None:
    printed = repr(PbxLink("wss://pbx.example.com/x", "master", "calendarsync", "topsecret"))
    assert "topsecret" not in printed
    assert "pbx.example.com" in printed


async def test_two_sessions_do_not_disturb_each_other() -> None:
    async with (
        PbxSimulator(users=USERS) as pbx,
        open_session(link_to(pbx)) as one,
        open_session(link_to(pbx)) as two,
    ):
        rows, outcomes = await asyncio.gather(replicate(one), two.set_presences(assignments()))
        assert len(rows) == len(USERS)
        assert {outcome.error for outcome in outcomes} == {None}
