"""What users are found by, and how their names are packed into records."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model import User
from shared.state.leaves import (
    LAST,
    Entry,
    Sort,
    find_changes,
    find_words,
    make_entry,
    make_leaves,
    read_leaf,
)

ANNA = User("a" * 32, "a.weiss", "Weiß, Anna", "Anna Weiß", ("Anna.Weiss@Example.com",))


def make_users(count: int) -> list[User]:
    return [User(f"{n * 2654435761 % 2**128:032x}", f"user{n}", f"Number {n}") for n in range(count)]


def pack(users: list[User], sort: Sort = Sort.NAME) -> dict[str, str]:
    return make_leaves(make_entry(user, sort) for user in users)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        (" ., -_/'#", ()),
        ("Anna Weiß", ("anna", "weiss")),
        ("Élodie ÉLODIE élodie", ("elodie",)),
        ("anna.weiss@example.com", ("anna", "weiss", "example", "com")),
        ("O'Neill_42", ("o", "neill", "42")),
        ("Жанна 山田", ("жанна", "山田")),
        ("ﬁ Ⅳ İ", ("fi", "iv", "i")),
    ],
)
def test_words_have_no_case_and_no_accents(text: str, words: tuple[str, ...]) -> None:
    assert find_words(text) == words


@given(st.text())
def test_a_word_that_was_found_is_found_by_its_beginnings(text: str) -> None:
    entry = make_entry(replace(ANNA, display_name=text), Sort.NAME)
    for word in find_words(text):
        assert find_words(word) == (word,)
        if len(entry.words) < 900:
            assert entry.matches([word])
            assert entry.matches([word[: len(word) // 2 + 1]])


def test_a_user_is_found_by_names_user_name_and_addresses_and_nothing_else() -> None:
    entry = make_entry(replace(ANNA, location="Berlin", groups=("sales",)), Sort.NAME)
    assert entry.words == " anna weiss a example com"
    assert entry.matches(["wei", "ann", "exam"])
    assert not entry.matches(["wei", "bernd"])
    assert not entry.matches(["nna"])


@pytest.mark.parametrize(
    ("user", "sort", "key"),
    [
        (ANNA, Sort.NAME, "anna-weiss!"),
        (ANNA, Sort.USER, "a-weiss!"),
        (replace(ANNA, display_name=""), Sort.NAME, "weiss-anna!"),
        (replace(ANNA, display_name="", common_name=""), Sort.NAME, "a-weiss!"),
        (replace(ANNA, display_name="Ж/?#"), Sort.NAME, "~000436!"),
        (replace(ANNA, display_name="***"), Sort.NAME, "!"),
    ],
)
def test_the_key_sorts_by_the_name_that_is_shown(user: User, sort: Sort, key: str) -> None:
    entry = make_entry(user, sort)
    assert entry.key == key + ANNA.guid
    assert entry.guid == ANNA.guid


@given(st.text(max_size=300))
def test_a_key_may_be_a_records_key_and_sorts_before_the_last(name: str) -> None:
    key = make_entry(replace(ANNA, display_name=name), Sort.NAME).key
    assert re.fullmatch(r"[0-9a-z~-]*![0-9a-f]{32}", key)
    assert len(key) < 1000
    assert key < LAST


def test_leaves_hold_everybody_in_order() -> None:
    users = make_users(1000)
    leaves = pack(users)
    entries = [entry for text in leaves.values() for entry in read_leaf(text)]
    assert entries == sorted(make_entry(user, Sort.NAME) for user in users)
    assert list(leaves) == sorted(leaves)
    assert 5 < len(leaves) < 40
    for name, text in leaves.items():
        keys = [entry.key for entry in read_leaf(text)]
        assert keys[-1] == name or name == LAST
        assert keys[-1] <= name


def test_the_same_users_give_the_same_leaves() -> None:
    users = make_users(500)
    assert pack(users[::-1]) == pack(users)


def test_nobody_makes_no_leaves() -> None:
    assert make_leaves([]) == {}


@pytest.mark.parametrize("who", [0, 1, 250, 499])
def test_who_comes_or_goes_changes_one_leaf_or_the_two_it_divides(who: int) -> None:
    users = make_users(500)
    everybody, others = pack(users), pack(users[:who] + users[who + 1 :])
    for before, after in ((everybody, others), (others, everybody)):
        written, deleted = find_changes(before, after)
        assert 1 <= len(written) + len(deleted) <= 2


def test_a_leaf_fits_into_a_property() -> None:
    verbose = [
        replace(user, emails=tuple(f"{user.sip}.address{n}@example.com" for n in range(100)))
        for user in make_users(400)
    ]
    leaves = pack(verbose)
    assert max(map(len, leaves.values())) < 32_000
    assert sum(len(list(read_leaf(text))) for text in leaves.values()) == 400


def test_changes_are_what_to_write_and_what_to_delete() -> None:
    before = {"a": "1", "b": "2", "c": "3"}
    assert find_changes(before, {"a": "1", "b": "4", "d": "3"}) == ({"b": "4", "d": "3"}, ["c"])
    assert find_changes(before, before) == ({}, [])


def test_an_entry_survives_being_packed_without_words() -> None:
    entry = Entry("!" + "a" * 32, "")
    assert list(read_leaf(make_leaves([entry])[LAST])) == [entry]
