"""What Entra ID's refusals mean."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.auth.refusals import Meaning, refusal_of
from shared.errors import ExchangeError, ExchangeUnavailable, SignInRefused


@pytest.mark.parametrize(
    ("code", "field"),
    [
        (7000215, "client_secret"),
        (7000222, "client_secret"),
        (700027, "client_certificate"),
        (1000502, "client_certificate"),
        (90002, "tenant_id"),
        (700016, "client_id"),
        (7000112, "client_id"),
        (65001, "client_id"),
        (50194, "supported_accounts"),
        (900432, "cloud"),
        (500011, "scope"),
        (50076, "user"),
        (50173, "user"),
        (700082, "user"),
        (50057, "user"),
    ],
)
def test_a_code_names_the_field_that_is_wrong(code: int, field: str) -> None:
    refusal = refusal_of({"error": "x", "error_description": "", "error_codes": [code]})
    assert refusal.code == f"AADSTS{code}"
    assert refusal.text.startswith(f"exchange.{field}: ")
    assert isinstance(refusal.error(), SignInRefused)
    assert refusal.error().retry_after == timedelta(minutes=15)
    assert ("Sign in again" in refusal.text) == (refusal.meaning is Meaning.SIGN_IN) == (field == "user")


def test_sentences_differ() -> None:
    codes = (7000215, 7000222, 700027, 90002, 700016, 65001, 90038, 500011, 50076, 50173)
    assert len({refusal_of({"error_codes": [code]}).text for code in codes}) == len(codes)


def test_codes_are_matched_and_never_texts() -> None:
    german = "AADSTS7000222: Die angegebenen geheimen Clientschlüssel sind abgelaufen. Trace ID: 65001"
    assert refusal_of({"error": "invalid_client", "error_description": german}).code == "AADSTS7000222"
    text = "The provided client secret keys for app are expired. AADSTS90002x xAADSTS50076"
    assert refusal_of({"error": "invalid_client", "error_description": text}).code == "invalid_client"


def test_the_first_code_that_is_known_counts() -> None:
    answer = {"error": "invalid_grant", "error_codes": [12345, 50076], "error_description": "AADSTS65001:"}
    assert refusal_of(answer).code == "AADSTS50076"


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("invalid_client", Meaning.SETTING),
        ("invalid_grant", Meaning.SIGN_IN),
        ("interaction_required", Meaning.SIGN_IN),
        ("temporarily_unavailable", Meaning.LATER),
        ("unheard_of", Meaning.SETTING),
    ],
)
def test_without_a_known_code_the_word_counts(word: str, meaning: Meaning) -> None:
    refusal = refusal_of({"error": word, "error_codes": [99999]})
    assert (refusal.code, refusal.meaning) == ("AADSTS99999", meaning)
    assert refusal_of({"error": word}).code == word


def test_what_passes_by_itself_stops_nobody_for_long() -> None:
    error = refusal_of({"error_codes": [90033]}).error()
    assert type(error) is ExchangeUnavailable
    assert error.retry_after == timedelta(seconds=30)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "error": st.text() | st.integers(),
            "error_description": st.text() | st.none(),
            "error_codes": st.lists(st.integers() | st.text()) | st.text() | st.none(),
        },
    )
)
def test_any_answer_has_a_meaning_and_is_not_quoted(answer: dict[str, object]) -> None:
    refusal = refusal_of(answer)
    assert isinstance(refusal.error(), ExchangeError)
    assert re.fullmatch(r"(?a:AADSTS\d+|[a-z_]+|SignIn)", refusal.code)
    description = str(answer.get("error_description", ""))
    assert len(description) < 8 or description not in refusal.text
