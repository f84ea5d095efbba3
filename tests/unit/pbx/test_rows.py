"""The users table: what a row says, and what may be missing in it."""

import json
from typing import Any

import pytest

from shared.errors import PbxUnavailable
from shared.model import User
from shared.pbx.protocol import TableRow, candidate_addresses, read_answer, read_row

GUID = "c9ebcc5914bd5e01c8020090334106ee"


def row_of(columns: object, mt: str = "ReplicateNextResult") -> TableRow | None:
    return read_row(read_answer(json.dumps({"mt": mt, "src": "u", "usn": 17, "columns": columns})))


def user_of(**columns: Any) -> User:
    row = row_of({"guid": GUID, "h323": "user0"} | columns)
    assert row is not None
    assert row.user is not None
    return row.user


def candidates(domain: str = "pbx.example.com", **columns: Any) -> tuple[str, ...]:
    row = row_of({"guid": GUID, "h323": "user0"} | columns)
    assert row is not None
    return candidate_addresses(row, domain)


def test_a_row_with_everything() -> None:
    assert user_of(
        cn="User0",
        dn="Zero User",
        loc="slave",
        apps="calendar,softphone",
        emails=[{"email": "user0@example.com"}, {"email": "zero@example.com"}],
        grps=[{"name": "sales", "mode": "active"}, {"name": "all"}],
    ) == User(
        guid=GUID,
        sip="user0",
        common_name="User0",
        display_name="Zero User",
        emails=("user0@example.com", "zero@example.com"),
        location="slave",
        groups=("sales", "all"),
        apps=("calendar", "softphone"),
    )


def test_what_is_empty_or_false_is_missing_on_the_wire() -> None:
    assert row_of({"guid": GUID, "h323": "user0"}) == TableRow(GUID, User(GUID, "user0"), False)


@pytest.mark.parametrize("nothing", [None, 5, True, {}, []])
def test_a_column_that_is_no_text_counts_as_missing(nothing: object) -> None:
    columns = dict.fromkeys(("cn", "dn", "loc", "apps"), nothing)
    assert user_of(**columns, emails=[{"email": nothing}], grps=[{"name": nothing}]) == User(GUID, "user0")


@pytest.mark.parametrize("table", [None, "a@example.com", {"email": "a@example.com"}, [None, "a", 5, {}]])
def test_a_sub_table_that_is_no_list_of_objects_counts_as_empty(table: object) -> None:
    user = user_of(emails=table, grps=table)
    assert (user.emails, user.groups) == ((), ())


def test_one_field_may_hold_several_addresses() -> None:
    emails = [{"email": " a@example.com;b@example.com ; ;"}, {"email": ""}, {"email": "c@example.com"}]
    assert user_of(emails=emails).emails == ("a@example.com", "b@example.com", "c@example.com")


def test_an_address_that_comes_twice_counts_once() -> None:
    emails = [{"email": "a@example.com;b@example.com"}, {"email": "a@example.com"}]
    assert user_of(emails=emails).emails == ("a@example.com", "b@example.com")


def test_apps_are_separated_by_commas() -> None:
    assert user_of(apps=" calendar , softphone,,").apps == ("calendar", "softphone")


def test_half_a_character_is_replaced() -> None:
    assert user_of(cn="Anna \ud83d").common_name == "Anna ?"


@pytest.mark.parametrize("guid", [GUID.upper(), "c9ebcc59-14bd-5e01-c802-0090334106ee"])
def test_a_guid_is_written_in_one_way(guid: str) -> None:
    row = row_of({"guid": guid, "h323": "user0"})
    assert row is not None
    assert row.user is not None
    assert (row.guid, row.user.guid) == (GUID, GUID)


@pytest.mark.parametrize("guid", [GUID[:-1], GUID + "0", "x" * 32, GUID + "\n", 5, [GUID], {"a": 1}, True])
@pytest.mark.parametrize("mt", ["ReplicateNextResult", "ReplicateDel"])
def test_a_bad_guid_is_the_pbxs_fault(mt: str, guid: object) -> None:
    with pytest.raises(PbxUnavailable, match="guid is not 32 hex digits"):
        row_of({"guid": guid, "h323": "user0"}, mt)


@pytest.mark.parametrize("columns", [None, [], "x", 5, [GUID]])
def test_columns_that_are_no_object_do_not_look_like_the_end(columns: object) -> None:
    with pytest.raises(PbxUnavailable, match="without columns"):
        row_of(columns)


@pytest.mark.parametrize("columns", [{}, {"guid": ""}, {"guid": None}, {"h323": "user0"}])
def test_a_row_without_a_guid_is_the_end(columns: object) -> None:
    assert row_of(columns) is None


def test_an_answer_without_columns_is_the_end() -> None:
    assert read_row(read_answer('{"mt":"ReplicateNextResult","src":"u"}')) is None


@pytest.mark.parametrize("columns", [{}, {"h323": "user0", "cn": "User0"}])
def test_a_deletion_needs_no_more_than_the_guid(columns: dict[str, str]) -> None:
    assert row_of({"guid": GUID} | columns, "ReplicateDel") == TableRow(GUID, None)


@pytest.mark.parametrize("mt", ["ReplicateAdd", "ReplicateUpdate"])
def test_an_addition_or_change_is_a_whole_row(mt: str) -> None:
    assert row_of({"guid": GUID, "h323": "user0"}, mt) == TableRow(GUID, User(GUID, "user0"))


@pytest.mark.parametrize("columns", [{"h323": "t", "pseudo": "trunk"}, {"h323": "w", "pseudo": "waiting"}])
def test_what_is_no_ordinary_user_is_nobody(columns: dict[str, str]) -> None:
    assert row_of({"guid": GUID} | columns) == TableRow(GUID, None)


def test_an_executive_is_a_user_too() -> None:
    assert user_of(pseudo="executive") == User(GUID, "user0")


def test_an_empty_pseudo_is_an_ordinary_user() -> None:
    assert user_of(pseudo="") == User(GUID, "user0")


@pytest.mark.parametrize("columns", [{}, {"h323": ""}, {"h323": None}])
def test_a_user_without_a_name_is_nobody(columns: dict[str, object]) -> None:
    assert row_of({"guid": GUID, "cn": "User0"} | columns) == TableRow(GUID, None)


def test_the_addresses_come_before_the_name_at_the_domain() -> None:
    emails = [{"email": "z@example.com;a@example.com"}]
    assert candidates(emails=emails) == ("z@example.com", "a@example.com", "user0@pbx.example.com")


def test_a_name_that_is_the_address_comes_first() -> None:
    emails = [{"email": "a@example.com"}]
    flagged: dict[str, Any] = {"h323-email": True}
    assert candidates(emails=emails, **flagged) == ("user0@pbx.example.com", "a@example.com")
    assert candidates(h323="u@other.example", emails=emails, **flagged) == (
        "u@other.example",
        "a@example.com",
    )


def test_a_name_with_a_domain_of_its_own_is_taken_as_it_is() -> None:
    assert candidates(h323="u@other.example") == ("u@other.example",)


def test_candidates_are_in_lower_case_and_each_comes_once() -> None:
    emails = [{"email": "User0@PBX.example.com;A@example.com;a@EXAMPLE.com"}]
    assert candidates(emails=emails) == ("user0@pbx.example.com", "a@example.com")


def test_what_is_no_address_is_no_candidate() -> None:
    assert candidates("", emails=[{"email": "phone"}]) == ()


def test_without_a_domain_the_name_alone_is_no_candidate() -> None:
    assert candidates("", emails=[{"email": "a@example.com"}]) == ("a@example.com",)


def test_nobody_has_no_candidates() -> None:
    assert candidate_addresses(TableRow(GUID, None), "example.com") == ()
