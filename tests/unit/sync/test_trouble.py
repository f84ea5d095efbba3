"""When a system that failed is tried again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import CalendarError, ExchangeUnavailable, PbxLoginRefused, PbxUnavailable
from shared.sync.interfaces import Trouble
from shared.sync.trouble import LONGEST_PAUSE, add_failure, find_pause

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def down(pause: timedelta | None) -> ExchangeUnavailable:
    return ExchangeUnavailable("HTTP 500", "Down.", retry_after=pause)


@pytest.mark.parametrize(
    ("asked", "attempts", "pause"),
    [
        (None, 1, 10),
        (None, 3, 40),
        (30, 1, 30),
        (30, 2, 60),
        (30, 5, 480),
        (30, 6, 900),
        (30, 10_000, 900),
        (3600, 1, 3600),
        (3600, 5, 3600),
    ],
)
def test_the_pause_doubles_up_to_a_quarter_of_an_hour_or_what_was_asked_for(
    asked: int | None, attempts: int, pause: int
) -> None:
    error = down(None if asked is None else asked * SECOND)
    assert find_pause(error, attempts) == pause * SECOND


@given(st.none() | st.timedeltas(timedelta(0), timedelta(days=2)), st.integers(1, 100))
def test_no_pause_is_shorter_than_asked_for_nor_than_the_last(asked: timedelta | None, attempts: int) -> None:
    pause = find_pause(down(asked), attempts)
    assert asked or pause >= 10 * SECOND
    assert (asked or timedelta(0)) <= pause <= max(LONGEST_PAUSE, asked or timedelta(0))
    assert pause <= find_pause(down(asked), attempts + 1)


def test_the_first_failure_begins_the_trouble() -> None:
    assert add_failure(None, down(30 * SECOND), NOW) == Trouble(
        "HTTP 500", "Down.", NOW, 1, NOW + 30 * SECOND
    )


def test_what_is_no_exchange_error_is_named_by_its_kind() -> None:
    assert add_failure(None, PbxLoginRefused("Refused."), NOW).code == "PbxLoginRefused"


def test_a_failure_after_the_pause_doubles_it() -> None:
    first = add_failure(None, PbxUnavailable("Away."), NOW)
    second = add_failure(first, PbxLoginRefused("Refused."), first.retry_at)
    assert second == Trouble("PbxLoginRefused", "Refused.", NOW, 2, first.retry_at + 60 * SECOND)


def test_those_who_fail_together_count_as_one() -> None:
    first = add_failure(None, down(30 * SECOND), NOW)
    second = add_failure(first, down(30 * SECOND), NOW + SECOND)
    assert (second.attempts, second.retry_at) == (1, NOW + 31 * SECOND)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    first = add_failure(None, down(timedelta(hours=1)), NOW)
    second = add_failure(first, down(SECOND), NOW + SECOND)
    assert second.retry_at == first.retry_at


@given(
    st.lists(st.tuples(st.timedeltas(timedelta(0), timedelta(hours=2)), st.integers(1, 4000)), max_size=20)
)
def test_the_time_of_the_next_attempt_never_goes_back(failures: list[tuple[timedelta, int]]) -> None:
    trouble, now = None, NOW
    for passed, asked in failures:
        now += passed
        before = trouble
        error: CalendarError = down(asked * SECOND)
        trouble = add_failure(before, error, now)
        assert trouble.retry_at >= now + asked * SECOND
        assert before is None or trouble.retry_at >= before.retry_at
        assert trouble.since == NOW + failures[0][0]
