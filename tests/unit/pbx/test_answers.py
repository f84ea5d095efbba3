"""Messages of the PBX, as they come and as they should not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import PbxUnavailable
from shared.pbx.protocol import Answer, Identity, TableRow, read_answer, read_identity, read_row

# Lone surrogates included: JSON can carry them, in escapes.
TEXTS = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=12,
)
COLUMNS = st.dictionaries(
    st.sampled_from(["guid", "h323", "cn", "dn", "loc", "h323-email", "pseudo", "apps", "emails", "grps"]),
    JSON
    | st.lists(st.fixed_dictionaries({}, optional={"email": JSON, "name": JSON, "mode": JSON}))
    | st.just("c9ebcc5914bd5e01c8020090334106ee"),
)
MESSAGES = st.fixed_dictionaries(
    {"mt": st.sampled_from(["ReplicateNextResult", "ReplicateAdd", "ReplicateDel"]) | TEXTS},
    optional={"src": JSON, "error": JSON, "errorText": JSON, "columns": JSON | COLUMNS, "pbx": JSON},
)


def test_an_answer_has_its_type_and_source() -> None:
    answer = read_answer('{"mt":"SetPresenceResult","api":"PbxApi","src":"r7"}')
    assert (answer.type, answer.src, answer.error) == ("SetPresenceResult", "r7", None)
    assert answer.body["api"] == "PbxApi"


def test_a_message_in_a_binary_frame_is_read_too() -> None:
    assert read_answer(b'{"mt":"AppLoginResult","ok":true}').body["ok"] is True


@pytest.mark.parametrize("src", ["null", "5", "[]", "{}"])
def test_a_source_that_is_no_text_is_none(src: str) -> None:
    assert read_answer(f'{{"mt":"X","src":{src}}}').src == ""


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, None),
        ({"error": 6, "errorText": "presence refused"}, "error 6: presence refused"),
        ({"error": 6}, "error 6: no text"),
        ({"error": 6, "errorText": ""}, "error 6: no text"),
        ({"error": 0}, "error 0: no text"),
        ({"errorText": "away"}, "error: away"),
        ({"error": "E1", "errorText": 7}, "error E1: no text"),
    ],
)
def test_an_error_keeps_the_pbxs_own_words(fields: dict[str, Any], error: str | None) -> None:
    assert read_answer(json.dumps({"mt": "SetPresenceResult", "src": "r1"} | fields)).error == error


@pytest.mark.parametrize("text", ["", "garbage", "{", "[" * 100_000, b"\xff\xfe\xfd", '{"mt":"X"}}'])
def test_what_is_not_json_is_the_pbxs_fault(text: str | bytes) -> None:
    with pytest.raises(PbxUnavailable, match=r"^The PBX sent something that is not JSON\.$"):
        read_answer(text)


@pytest.mark.parametrize("text", ["null", "5", '"mt"', "[]", "{}", '{"mt":5}', '{"mt":null}', '["mt"]'])
def test_a_message_needs_a_type(text: str) -> None:
    with pytest.raises(PbxUnavailable, match=r"^The PBX sent a message without a type\.$"):
        read_answer(text)


def test_the_identity_is_the_pbx_name_and_the_system_name() -> None:
    text = '{"mt":"MonitorConfigInfo","domain":"example.com","pbx":"master","dns":"pbx.example.com"}'
    assert read_identity(read_answer(text)) == Identity(name="master", domain="example.com")
    assert read_identity(read_answer('{"mt":"MonitorConfigInfo","pbx":null}')) == Identity("", "")


def read_everything(text: str | bytes) -> tuple[Answer, TableRow | None] | None:
    try:
        answer = read_answer(text)
        return answer, read_row(answer)
    except PbxUnavailable:
        return None


@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_no_text_breaks_the_reading(text: str | bytes) -> None:
    read_everything(text)


@given(MESSAGES)
def test_no_message_breaks_the_reading_and_all_that_is_read_can_be_stored(message: dict[str, Any]) -> None:
    if (read := read_everything(json.dumps(message))) is None:
        return
    answer, row = read
    identity = read_identity(answer)
    user = row.user if row else None
    texts = [answer.src, answer.error or "", identity.name, identity.domain, row.guid if row else ""]
    if user is not None:
        texts += [user.guid, user.sip, user.common_name, user.display_name, user.location]
        texts += [*user.emails, *user.groups, *user.apps]
    assert all(text.encode() or text == "" for text in texts)
