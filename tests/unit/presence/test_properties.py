"""What holds for every agenda, drawn by hypothesis."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from shared.model import Activity, Appointment, Sensitivity
from shared.presence import (
    PresenceRules,
    compose,
    compose_each,
    find_omission,
    next_composition,
    read,
    redact,
    render,
    timeline,
)
from tests.unit.presence import oracle
from tests.unit.presence.agendas import SUBJECTS, draw_case

type Case = tuple[list[Appointment], datetime, PresenceRules]

CASES = draw_case()
CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For machines that are busy with other things."""
TAGS = ("free", "busy", "away", "len", "until", "whole-day", "next-activity", "next")


@CALM
@given(CASES)
def test_the_engine_agrees_with_the_rules_taken_literally(case: Case) -> None:
    agenda, now, rules = case
    presence = compose(agenda, now, rules)
    winner = oracle.winner_at(agenda, now, rules)

    assert presence.note == oracle.note_at(agenda, now, rules)
    assert presence.changes_at == oracle.change_after(agenda, now, rules)
    assert presence.activity == ((winner and oracle.activity_of(winner, rules)) or "available")


@CALM
@given(CASES)
def test_the_timeline_agrees_with_the_rules_taken_literally(case: Case) -> None:
    agenda, now, rules = case
    segments = timeline(agenda, now, rules)

    assert segments[0].start == now
    for segment in segments:
        winner = oracle.winner_at(agenda, segment.start, rules)
        assert segment.winner is winner
        assert segment.activity == ((winner and oracle.activity_of(winner, rules)) or "available")
        assert segment.end == oracle.change_after(agenda, segment.start, rules)


@CALM
@given(CASES)
def test_every_rival_runs_in_the_segment_and_loses_by_its_rule(case: Case) -> None:
    agenda, now, rules = case
    for segment in timeline(agenda, now, rules):
        overlapping = {
            item.id
            for item in agenda
            if oracle.activity_of(item, rules)
            and item.end > segment.start
            and (segment.end is None or item.start < segment.end)
            and item is not segment.winner
        }
        assert {rival.appointment.id for rival in segment.rivals} == overlapping
        for rival in segment.rivals:
            assert segment.winner is not None
            assert oracle.goes_before(segment.winner, rival.appointment, rules)
            assert rival.activity == oracle.activity_of(rival.appointment, rules)
        for stronger, weaker in zip(segment.rivals, segment.rivals[1:], strict=False):
            assert oracle.goes_before(stronger.appointment, weaker.appointment, rules)
        assert segment.reason == (segment.rivals[0].rule if segment.rivals else None)


@CALM
@given(CASES)
def test_an_appointment_is_omitted_exactly_when_it_neither_shows_nor_loses(case: Case) -> None:
    agenda, now, rules = case
    seen: set[str] = set()
    for segment in timeline(agenda, now, rules):
        seen.update({segment.winner.id} if segment.winner else ())
        seen.update(rival.appointment.id for rival in segment.rivals)

    assert seen == {item.id for item in agenda if find_omission(item, now, rules) is None}


@CALM
@given(CASES)
def test_each_note_of_a_timeline_is_the_one_composed_then(case: Case) -> None:
    agenda, now, rules = case
    instants = []
    for instant, presence in compose_each(timeline(agenda, now, rules), rules):
        assert presence == compose(agenda, instant, rules)
        instants.append(instant)

    expected: list[datetime] = []
    following: datetime | None = now
    while following is not None:
        expected.append(following)
        following = next_composition(compose(agenda, following, rules), following, rules)
    assert instants == expected


@CALM
@given(CASES)
def test_a_note_reads_the_same_until_it_must_be_composed_again(case: Case) -> None:
    agenda, now, rules = case
    presence = compose(agenda, now, rules)
    again = next_composition(presence, now, rules)
    last = now + timedelta(days=9) if again is None else again - timedelta(milliseconds=1)

    assert compose(agenda, last, rules) == presence
    assert compose(agenda, now + (last - now) / 3, rules) == presence
    if again is not None:
        assert again > now
        assert compose(agenda, again, rules).note != presence.note


@CALM
@given(CASES)
def test_until_it_changes_only_a_date_goes_and_only_at_midnight(case: Case) -> None:
    agenda, now, rules = case
    presence = compose(agenda, now, rules)
    assume(presence.changes_at is not None)
    assert presence.changes_at is not None
    last = compose(agenda, presence.changes_at - timedelta(milliseconds=1), rules)
    again = next_composition(presence, now, rules)

    if again == presence.changes_at:
        assert last == presence
    else:
        assert again is not None
        wall = again.astimezone(rules.zone)
        before = (again - timedelta(milliseconds=1)).astimezone(rules.zone)
        assert before.date() < wall.date() == presence.changes_at.astimezone(rules.zone).date()
        parsed = read(presence.note)
        assert replace(read(last.note), plain="") == replace(parsed, plain="")
        date = rules.words.write_date(wall.date()) + " "
        assert last.note.split(" #")[0] == presence.note.replace(date, "", 1).split(" #")[0]


@CALM
@given(CASES, st.randoms())
def test_the_order_of_the_appointments_is_no_matter(case: Case, chance: random.Random) -> None:
    agenda, now, rules = case
    shuffled = agenda.copy()
    chance.shuffle(shuffled)

    assert compose(shuffled, now, rules) == compose(agenda, now, rules)
    assert timeline(shuffled, now, rules) == timeline(agenda, now, rules)


@CALM
@given(CASES)
def test_an_appointment_that_never_shows_can_be_left_out(case: Case) -> None:
    agenda, now, rules = case
    shown = [item for item in agenda if any(item is turn.winner for turn in timeline(agenda, now, rules))]

    assert compose(shown, now, rules) == compose(agenda, now, rules)


@CALM
@given(CASES)
def test_a_higher_rank_never_loses_to_a_lower(case: Case) -> None:
    agenda, now, rules = case
    for segment in timeline(agenda, now, rules):
        for rival in segment.rivals:
            assert segment.winner is not None
            assert oracle.rank_of(segment.winner, rules) >= oracle.rank_of(rival.appointment, rules)


@CALM
@given(CASES)
def test_what_may_be_stored_gives_the_same_note(case: Case) -> None:
    agenda, now, rules = case
    stored = [redact(item, rules) for item in agenda]

    assert compose(stored, now, rules) == compose(agenda, now, rules)
    assert [redact(item, rules) for item in stored] == stored
    for kept, item in zip(stored, agenda, strict=True):
        hidden = not rules.show_subject or item.sensitivity != Sensitivity.NORMAL
        hidden = hidden or oracle.activity_of(item, rules) is None
        assert kept == (replace(item, subject="", rank=oracle.rank_of(item, rules)) if hidden else item)


@CALM
@given(CASES)
def test_a_note_reads_back_as_what_was_composed(case: Case) -> None:
    agenda, now, rules = case
    presence = compose(agenda, now, rules)
    parsed = read(presence.note)
    current = oracle.winner_at(agenda, now, rules)
    if presence.changes_at is None:
        assert parsed.plain == presence.note == rules.words.free
        assert parsed.activity is None
        return
    following = oracle.winner_at(agenda, presence.changes_at, rules)
    busy = Activity.BUSY if presence.activity is Activity.DND else presence.activity
    named = following if presence.activity is Activity.AVAILABLE else None

    assert parsed.activity is busy
    assert parsed.until == presence.changes_at
    assert parsed.title == (oracle.title_of(current, rules) if current else "")
    assert parsed.next_title == (oracle.title_of(named, rules) if named else "")
    assert (parsed.next_activity is None) == (named is None)
    boundary = following if following and following.start == presence.changes_at else current
    assert parsed.whole_day == (boundary is not None and boundary.all_day)


@CALM
@given(CASES)
def test_a_reader_with_the_same_language_and_zone_reads_the_sentence_of_the_note(case: Case) -> None:
    agenda, now, rules = case
    note = compose(agenda, now, rules).note

    assert render(read(note), rules.language, rules.zone, now) == note.split(" #")[0]


@CALM
@given(CASES)
def test_len_and_next_cut_out_the_titles_in_characters_and_in_bytes(case: Case) -> None:
    agenda, now, rules = case
    presence = compose(agenda, now, rules)
    note, encoded = presence.note, presence.note.encode()
    tags = dict(word[1:].partition(":")[::2] for word in note.split(" ") if word.startswith("#"))

    if "len" in tags:
        characters, size = map(int, tags["len"].split(":"))
        current = oracle.winner_at(agenda, now, rules)
        assert current is not None
        assert note[:characters] == encoded[:size].decode() == oracle.title_of(current, rules)
    if "next" in tags:
        assert presence.changes_at is not None
        start, length, start_byte, size = map(int, tags["next"].split(":"))
        following = oracle.winner_at(agenda, presence.changes_at, rules)
        assert following is not None
        title = oracle.title_of(following, rules)
        assert note[start : start + length] == encoded[start_byte : start_byte + size].decode() == title


@CALM
@given(CASES)
def test_no_tag_comes_from_a_subject_and_tags_stand_in_order_at_the_end(case: Case) -> None:
    agenda, now, rules = case
    words = compose(agenda, now, rules).note.split(" ")
    names = [word[1:].partition(":")[0] for word in words if word.startswith("#")]
    hashes = [word.startswith("#") for word in words]

    assert sorted(hashes) == hashes
    assert "" not in words
    assert names == sorted(names, key=TAGS.index)
    assert len(set(names)) == len(names)


@CALM
@given(st.one_of(SUBJECTS, st.text(), st.lists(st.sampled_from("# :0123456789")).map("".join)))
def test_any_string_can_be_read_and_rendered(note: str) -> None:
    rules = PresenceRules(language="ru", timezone="Asia/Tokyo")

    sentence = render(read(note), rules.language, rules.zone, datetime(2026, 1, 1, tzinfo=rules.zone))
    assert isinstance(sentence, str)


@CALM
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*TAGS, ""]),
            st.sampled_from(["", ":"]),
            st.one_of(
                st.lists(st.integers(-1, 10**20), max_size=5).map(lambda values: ":".join(map(str, values))),
                st.sampled_from(["free", "busy", "away", "dnd", "x", "253402300799999", "100000000000"]),
            ),
        ).map(lambda parts: "#" + "".join(parts))
    ),
    st.text(),
)
def test_any_tags_can_be_read_and_rendered(tags: list[str], text: str) -> None:
    rules = PresenceRules(timezone="Asia/Tokyo")
    parsed = read(" ".join([text, *tags]))

    assert isinstance(render(parsed, "en-US", rules.zone, datetime(2026, 1, 1, tzinfo=rules.zone)), str)
