"""Warnings before a secret ends."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.auth.expiry import expiry_warning

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("days", "stage"),
    [(365, None), (31, None), (30, 30), (15, 30), (14, 14), (4, 14), (3, 3), (0, 3), (-1, 0), (-400, 0)],
)
def test_warnings_come_30_14_and_3_days_before_the_end(days: int, stage: int | None) -> None:
    warning = expiry_warning(TODAY + timedelta(days=days), TODAY)
    assert (warning and warning.stage) == stage
    assert warning is None or (warning.days, warning.expires) == (days, TODAY + timedelta(days=days))


def test_nothing_noted_is_nothing_to_warn_of() -> None:
    assert expiry_warning(None, TODAY) is None


def test_a_warning_names_the_day_and_the_remedy() -> None:
    assert str(expiry_warning(date(2026, 11, 25), TODAY)) == (
        "exchange.secret_expires_on: the secret or certificate expires on 2026-11-25, in 3 days. "
        "Make a new one in the app registration and enter it."
    )
    assert "expired on 2026-11-21" in str(expiry_warning(date(2026, 11, 21), TODAY))


@given(st.dates(min_value=date(2000, 1, 1), max_value=date(2100, 1, 1)), st.integers(-400, 400))
def test_there_are_three_stages_and_an_end_as_time_goes_by(expires: date, start: int) -> None:
    days = [expires - timedelta(days=left) for left in range(start + 60, start - 1, -1)]
    stages = [warning.stage for day in days if (warning := expiry_warning(expires, day))]
    assert stages == sorted(stages, reverse=True)
    assert set(stages) <= {30, 14, 3, 0}
