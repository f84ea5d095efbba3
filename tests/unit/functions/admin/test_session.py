"""Sessions: sealed cookies, and the tokens of their forms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from functions.admin.session import IDLE, LONGEST, REFRESH, Administrator, Sessions

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
ANNA = Administrator("id", "Anna ä")


@pytest.fixture
def sessions() -> Sessions:
    return Sessions([OLD])


def test_a_session_is_read_back_as_it_began(sessions: Sessions) -> None:
    session = sessions.begin(ANNA, NOW)
    assert sessions.open_session(sessions.seal_session(session), NOW) == session
    assert (session.administrator.id, session.administrator.name) == ("id", "Anna ä")


def test_a_cookie_holds_nothing_that_the_platform_would_change(sessions: Sessions) -> None:
    for _ in range(20):
        assert sessions.seal_session(sessions.begin(ANNA, NOW)).replace("-", "").replace("_", "").isalnum()


def test_no_two_sessions_are_alike(sessions: Sessions) -> None:
    assert len({sessions.begin(ANNA, NOW).id for _ in range(100)}) == 100


@given(st.integers(0, 10 * 3600), st.integers(0, 2 * 3600))
def test_a_session_ends_after_eight_hours_or_one_without_activity(age: int, silence: int) -> None:
    sessions = Sessions([OLD])
    session = sessions.begin(ANNA, NOW)
    seen = max(0, age - silence)
    renewed = sessions.renew(session, NOW + timedelta(seconds=seen)) or session
    silent = age - (seen if renewed is not session else 0)
    opened = sessions.open_session(sessions.seal_session(renewed), NOW + timedelta(seconds=age))
    assert (opened is not None) == (age < LONGEST.total_seconds() and silent < IDLE.total_seconds())


def test_activity_does_not_prolong_a_session_past_its_end(sessions: Sessions) -> None:
    session = sessions.begin(ANNA, NOW)
    at = NOW
    while at < NOW + LONGEST:
        session = sessions.renew(session, at) or session
        assert sessions.open_session(sessions.seal_session(session), at) is not None
        at += REFRESH
    assert sessions.open_session(sessions.seal_session(session), NOW + LONGEST) is None


def test_a_new_key_ends_no_session_while_the_former_stands_behind_it() -> None:
    cookie = Sessions([OLD]).seal_session(Sessions([OLD]).begin(ANNA, NOW))
    assert Sessions([NEW, OLD]).open_session(cookie, NOW) is not None
    assert Sessions([NEW]).open_session(cookie, NOW) is None
    token = Sessions([OLD]).csrf_token("session")
    assert Sessions([NEW, OLD]).is_csrf_token("session", token)
    assert not Sessions([NEW]).is_csrf_token("session", token)


@pytest.mark.parametrize("token", ["", "0" * 64, "ä", "\udcff"])
def test_a_form_of_another_session_is_known(sessions: Sessions, token: str) -> None:
    assert sessions.is_csrf_token("a", sessions.csrf_token("a"))
    assert not sessions.is_csrf_token("a", sessions.csrf_token("b"))
    assert not sessions.is_csrf_token("a", token)


def test_what_was_sealed_for_one_purpose_serves_no_other(sessions: Sessions) -> None:
    sealed = sessions.seal("flow", {"state": "x"}, NOW.timestamp())
    assert sessions.open("flow", sealed, NOW) == {"state": "x"}
    assert sessions.open("session", sealed, NOW) is None
    assert sessions.open_session(sealed, NOW) is None
    assert sessions.open("flow", sealed, NOW + timedelta(minutes=1), timedelta(minutes=1)) is None


@given(st.text())
def test_no_other_text_is_a_session(text: str) -> None:
    assert Sessions([OLD]).open_session(text, NOW) is None


def test_a_session_of_another_version_is_over(sessions: Sessions) -> None:
    assert sessions.open_session(sessions.seal("session", {"id": "x"}, NOW.timestamp()), NOW) is None
