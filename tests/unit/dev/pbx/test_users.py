"""The user table: what it accepts, and what it tells of."""

import pytest

from dev.pbx.users import Row, Users

ANNA = {"guid": "a" * 32, "h323": "anna", "cn": "Anna Bauer", "emails": [{"email": "anna@example.com"}]}
BERT = {"guid": "b" * 32, "h323": "bert"}


def listen(users: Users) -> list[tuple[str, str]]:
    told: list[tuple[str, str]] = []

    def tell(before: Row | None, after: Row | None) -> None:
        told.append((before.sip if before else "", after.sip if after else ""))

    users.listeners.append(tell)
    return told


def test_a_row_is_found_by_guid_or_name_but_not_by_two_that_differ() -> None:
    users = Users([ANNA, BERT])
    assert users.find("a" * 32) == users.find(sip="anna") == users.find("a" * 32, "anna")
    assert users.find("a" * 32, "bert") is None
    assert users.find() is None


def test_false_and_empty_columns_are_left_out() -> None:
    row = Users([{**ANNA, "hide": False, "dn": "", "grps": []}]).rows()[0]
    assert row.select(["h323", "hide", "dn", "grps", "emails"]) == {"h323": "anna", "emails": ANNA["emails"]}


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"cn": "nobody"}, "h323"),
        ({"h323": ""}, "h323"),
        ({"h323": "x", "guid": "XYZ"}, "guid"),
        ({"h323": "x", "pwd": "secret"}, "pwd"),
        ({"h323": "x", "hide": "yes"}, "hide"),
        ({"h323": "x", "cn": 3}, "cn"),
        ({"h323": "x", "emails": ["x@example.com"]}, "emails"),
        ({"h323": "x", "emails": [{"address": "x@example.com"}]}, "emails"),
    ],
)
def test_a_bad_row_is_refused_by_the_column_at_fault(row: dict[str, object], field: str) -> None:
    users = Users([ANNA])
    with pytest.raises(ValueError, match=f"^{field}:"):
        users.replace([BERT, row])
    assert [row.sip for row in users.rows()] == ["anna"]


def test_two_users_cannot_have_one_name() -> None:
    with pytest.raises(ValueError, match="h323"):
        Users([ANNA, {**BERT, "h323": "anna"}])
    with pytest.raises(ValueError, match="another"):
        Users([ANNA, BERT]).change("b" * 32, {"h323": "anna"})


def test_a_user_is_added_changed_and_removed_and_each_is_told_and_numbered() -> None:
    users = Users([ANNA])
    told = listen(users)
    usn = users.usn
    users.add(BERT)
    users.change("b" * 32, {"h323": "berta"})
    users.remove("b" * 32)
    assert told == [("", "bert"), ("bert", "berta"), ("berta", "")]
    assert users.usn == usn + 3
    assert users.find(sip="bert") is users.find(sip="berta") is None


def test_adding_twice_or_changing_what_is_not_there_is_refused() -> None:
    users = Users([ANNA])
    with pytest.raises(ValueError, match="exists"):
        users.add(ANNA)
    with pytest.raises(ValueError, match="cannot be changed"):
        users.change("a" * 32, {"guid": "c" * 32})
    for act in (lambda: users.change("c" * 32, {}), lambda: users.remove("c" * 32)):
        with pytest.raises(KeyError):
            act()


def test_replacing_tells_only_the_differences() -> None:
    users = Users([ANNA, BERT])
    told = listen(users)
    users.replace([{**ANNA, "cn": "Anna Maier"}, {"h323": "carl"}])
    assert sorted(told) == [("", "carl"), ("anna", "anna"), ("bert", "")]
    told.clear()
    users.replace([row.columns for row in users.rows()])
    assert told == []


def test_two_users_can_swap_their_names_in_one_replacement() -> None:
    users = Users([ANNA, BERT])
    users.replace([{**ANNA, "h323": "bert"}, {**BERT, "h323": "anna"}])
    found = [users.find(sip=sip) for sip in ("anna", "bert")]
    assert [row.guid for row in found if row] == ["b" * 32, "a" * 32]
