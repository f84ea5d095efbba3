"""The command: a line in, a line out, whatever comes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.presence import languages
from shared.presence.__main__ import main
from shared.presence.command import run
from shared.presence.request import parse_instant


def present() -> datetime:
    return datetime(2017, 8, 21, 6, tzinfo=UTC)


ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "shared.presence"]
APPOINTMENT = {"id": "1", "subject": "Über", "start": "2017-08-21T08:30:00Z", "end": "2017-08-21T09:30:00Z"}
REQUEST: dict[str, Any] = {"now": "2017-08-21T06:00:00Z", "appointments": [APPOINTMENT]}
ANSWER = {
    "activity": "",
    "note": "Free until 08:30 (Busy: Über) #free #until:1503304200000 #next-activity:busy #next:24:4:24:5",
    "changes_at": "2017-08-21T08:30:00Z",
}
GOOD = json.dumps(REQUEST).encode()


def answer(*lines: bytes, arguments: Iterable[str] = ()) -> tuple[list[Any], int]:
    """Run the command on lines and give what it wrote, decoded, and its status."""
    output = io.BytesIO()
    status = run(list(arguments), [line + b"\n" for line in lines], output, present)
    return [json.loads(line) for line in output.getvalue().decode().splitlines()], status


def complain(request: object) -> str:
    """Give the error the command writes for a bad request."""
    answers, status = answer(json.dumps(request).encode())
    assert status == 1
    (error,) = answers
    assert list(error) == ["error"]
    return str(error["error"])


def test_a_request_is_answered_with_activity_note_and_change() -> None:
    assert answer(GOOD) == ([ANSWER], 0)


def test_nothing_is_answered_with_nothing() -> None:
    assert answer() == ([], 0)


def test_notes_are_written_as_they_are_read() -> None:
    output = io.BytesIO()
    run([], [GOOD], output, present)

    assert "Über" in output.getvalue().decode()
    assert output.getvalue().endswith(b'"changes_at": "2017-08-21T08:30:00Z"}\n')


def test_nothing_ahead_has_no_change() -> None:
    assert answer(json.dumps(REQUEST | {"appointments": []}).encode()) == (
        [{"activity": "", "note": "Free", "changes_at": None}],
        0,
    )


def test_an_answer_carries_the_pbx_activity() -> None:
    request = REQUEST | {"now": "2017-08-21T09:00:00Z", "settings": {"mapping": {"busy": "dnd"}}}

    assert answer(json.dumps(request).encode())[0][0]["activity"] == "dnd"


def test_a_bad_line_is_answered_in_its_place_and_remembered() -> None:
    answers, status = answer(GOOD, b"", b"{", GOOD)

    assert status == 1
    assert [list(reply) for reply in answers] == [list(ANSWER), ["error"], ["error"], list(ANSWER)]


def test_the_mark_and_the_line_ends_of_windows_are_no_matter() -> None:
    assert answer(b"\xef\xbb\xbf" + GOOD + b"\r", GOOD + b"\r") == ([ANSWER, ANSWER], 0)
    assert answer(GOOD, b"\xef\xbb\xbf" + GOOD)[1] == 1


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"", "line: not JSON (Expecting value: line 1 column 1 (char 0)). Write one JSON object a line."),
        (
            b'{"now"',
            "line: not JSON (Expecting ':' delimiter: line 1 column 7 (char 6)). "
            "Write one JSON object a line.",
        ),
        (b"[1, 2]", 'line: [1, 2] is not an object. Write it as {"name": "value"}.'),
        (b"null", 'line: None is not an object. Write it as {"name": "value"}.'),
        (b"{} \xff", "line: not UTF-8 from byte 4 on. Save the input as UTF-8."),
        (b"\xed\xa0\x80", "line: not UTF-8 from byte 1 on. Save the input as UTF-8."),
        (b"{}", "now: missing. Add it."),
    ],
)
def test_a_line_that_is_no_request_is_refused(line: bytes, error: str) -> None:
    assert answer(line) == ([{"error": error}], 1)


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"now":' + b"1" * 10_000 + b"}"])
def test_a_line_that_json_chokes_on_is_refused(line: bytes) -> None:
    (refusal,), status = answer(line)

    assert refusal["error"].startswith("line: not JSON (")
    assert status == 1


def like(text: str) -> str:
    return f"{text} is not an instant. Write it like 2017-08-21T08:30:00Z."


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (
            {"now": "2017-08-21"},
            "now: '2017-08-21' has no time zone. End it with Z or an offset such as +02:00.",
        ),
        (
            {"now": "2017-08-21T06:00:00"},
            "now: '2017-08-21T06:00:00' has no time zone. End it with Z or an offset such as +02:00.",
        ),
        ({"now": "2017-02-30T06:00:00Z"}, like("now: '2017-02-30T06:00:00Z'")),
        ({"now": "yesterday"}, like("now: 'yesterday'")),
        ({"now": "0001-01-01T00:00:00+01:00"}, like("now: '0001-01-01T00:00:00+01:00'")),
        ({"now": "\ud800"}, like("now: '\\ud800'")),
        ({"now": None}, "now: None is not text. Write it as a string in quotes."),
        ({"now": 1503304200}, "now: 1503304200 is not text. Write it as a string in quotes."),
        ({"settings": None}, 'settings: None is not an object. Write it as {"name": "value"}.'),
        ({"settings": {"until_unit": "h"}}, "settings.until_unit: 'h' is not known. Use one of: ms, s."),
        (
            {"settings": {"until_unit": "h", "timezone": "x"}},
            "settings.timezone: 'x' is not a time zone. Give an IANA name such as Europe/Berlin or UTC. "
            "settings.until_unit: 'h' is not known. Use one of: ms, s.",
        ),
        ({"appointments": {}}, "appointments: {} is not a list. Write it as [{…}, {…}]."),
        (
            {"appointments": [APPOINTMENT, 7]},
            'appointments[1]: 7 is not an object. Write it as {"name": "value"}.',
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_fault_and_the_remedy(change: dict[str, Any], error: str) -> None:
    assert complain(REQUEST | change) == error


def test_an_instant_is_read_into_utc() -> None:
    instant = parse_instant("now", "2017-08-21T08:00:00.5+02:00")

    assert instant.tzinfo is UTC
    assert instant == datetime(2017, 8, 21, 6, 0, 0, 500_000, UTC)


@pytest.mark.parametrize("field", ["now", "appointments"])
def test_a_missing_field_is_named(field: str) -> None:
    assert (
        complain({name: value for name, value in REQUEST.items() if name != field})
        == f"{field}: missing. Add it."
    )


@pytest.mark.parametrize("field", ["id", "start", "end"])
def test_a_missing_field_of_an_appointment_is_named(field: str) -> None:
    cut = {name: value for name, value in APPOINTMENT.items() if name != field}

    assert (
        complain(REQUEST | {"appointments": [APPOINTMENT, cut]})
        == f"appointments[1].{field}: missing. Add it."
    )


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("id", 1, "1 is not text. Write it as a string in quotes."),
        ("subject", None, "None is not text. Write it as a string in quotes."),
        ("organizer", ["x"], "['x'] is not text. Write it as a string in quotes."),
        ("start", "noon", like("'noon'")),
        ("end", "2017-08-21T24:30Z", like("'2017-08-21T24:30Z'")),
        ("all_day", "false", "'false' is neither true nor false. Use true or false."),
        ("cancelled", 0, "0 is neither true nor false. Use true or false."),
        (
            "show_as",
            "Busy",
            "'Busy' is not known. Use one of: free, tentative, busy, out_of_office, working_elsewhere, "
            "no_data.",
        ),
        ("sensitivity", "", "'' is not known. Use one of: normal, personal, private, confidential."),
        (
            "response",
            None,
            "None is not known. Use one of: organizer, accept, tentative, decline, no_response, unknown.",
        ),
    ],
)
def test_a_wrong_field_of_an_appointment_is_named(field: str, value: object, error: str) -> None:
    request = REQUEST | {"appointments": [APPOINTMENT | {field: value}]}

    assert complain(request) == f"appointments[0].{field}: {error}"


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters(exclude_categories=()), max_size=9),
        st.sampled_from(["2017-08-21T06:00:00Z", "busy", "free", "ms", "Europe/Berlin", "de"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=9,
)
SETTINGS = ["language", "timezone", "mapping", "prioritized", "until_unit"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(["now", "settings", "appointments"]), JSON),
    st.dictionaries(st.sampled_from([*APPOINTMENT, "all_day", "show_as", "response", "other"]), JSON),
    st.dictionaries(st.sampled_from(SETTINGS), JSON),
)
def test_any_json_gets_a_note_or_an_error_that_names_a_field(
    change: dict[str, Any], details: dict[str, Any], chosen: dict[str, Any]
) -> None:
    request = REQUEST | {"settings": chosen, "appointments": [APPOINTMENT | details]} | change
    (reply,), status = answer(json.dumps(request).encode())

    if status == 0:
        assert list(reply) == ["activity", "note", "changes_at"]
    else:
        field, _, sentence = reply["error"].partition(": ")
        assert field.startswith(("line", "now", "settings", "appointments"))
        assert sentence.endswith(".")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=4))
def test_any_bytes_get_a_line_each(lines: list[bytes]) -> None:
    answers, status = answer(*lines)

    assert [list(reply) for reply in answers] == [["error"]] * len(lines)
    assert status == (1 if lines else 0)


def test_a_lone_surrogate_in_an_error_still_makes_json() -> None:
    assert complain(REQUEST | {"settings": {"\ud83d": 1}}).startswith("settings.\ud83d: unknown. ")


def read_back(*lines: bytes, arguments: str) -> tuple[list[str], int]:
    output = io.BytesIO()
    status = run(arguments.split(), lines, output, present)
    return output.getvalue().decode().split("\n"), status


def test_notes_are_read_in_the_language_and_zone_of_a_reader() -> None:
    note = ANSWER["note"]
    assert note is not None

    assert read_back(
        note.encode() + b"\r\n",
        b"\n",
        b"\ra\rb\xc2\x85c\r\n",
        b"broken \xff\n",
        b"last",
        arguments="--read de --timezone Europe/Berlin --now 2017-08-20T00:00:00+02:00",
    ) == (
        ["Frei bis 21.08.2017 10:30 (Beschäftigt: Über)", "", "\ra\rb\x85c", "broken \ufffd", "last", ""],
        0,
    )


def test_notes_are_read_at_the_present_unless_an_instant_is_given() -> None:
    assert read_back(b"x #until:1503304200", arguments="--read en --timezone UTC")[0][0] == "x until 08:30"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("--read de", "--timezone: missing. Name the reader's time zone, such as Europe/Berlin."),
        ("--read xx --timezone UTC", f"language: 'xx' is not known. Use one of: {', '.join(languages)}."),
        (
            "--read de --timezone Europe",
            "timezone: 'Europe' is not a time zone. Give an IANA name such as Europe/Berlin or UTC.",
        ),
        ("--read de --timezone UTC --now noon", like("--now: 'noon'")),
        ("--timezone UTC", "--timezone and --now belong to --read; when composing they are in each line."),
        (
            "--now 2017-08-20T00:00:00Z",
            "--timezone and --now belong to --read; when composing they are in each line.",
        ),
        ("--write de", "unrecognized arguments: --write de"),
    ],
)
def test_wrong_arguments_are_refused_with_a_sentence(
    arguments: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        read_back(arguments=arguments)

    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith(f"\npython -m shared.presence: error: {error}\n")


def test_each_line_is_answered_before_the_next_is_read() -> None:
    output = io.BytesIO()
    seen = []

    def ask() -> Iterator[bytes]:
        for _ in range(3):
            yield GOOD
            seen.append(output.getvalue().count(b"\n"))

    run([], ask(), output, present)
    assert seen == [1, 2, 3]


def test_the_command_runs_on_the_streams_of_its_process(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr("sys.argv", ["presence"])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(GOOD + b"\n{\n")))

    assert main() == 1
    first, second = capfdbinary.readouterr().out.splitlines()
    assert json.loads(first) == ANSWER
    assert b"error" in second


def test_the_command_takes_the_arguments_of_its_process(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr("sys.argv", ["presence", "--read", "de", "--timezone", "UTC"])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"x #away")))

    assert main() == 0
    assert capfdbinary.readouterr().out == b"Abwesend\n"


def test_the_command_writes_no_more_to_a_reader_that_went_away(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    output = io.TextIOWrapper(os.fdopen(writing, "wb"))
    monkeypatch.setattr("sys.argv", ["presence"])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(GOOD)))
    monkeypatch.setattr("sys.stdout", output)

    assert main() == 1
    output.close()


def test_answers_come_through_a_pipe_while_it_is_open() -> None:
    with subprocess.Popen(COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        for _ in range(2):
            process.stdin.write(GOOD + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == ANSWER
        process.stdin.close()
        assert process.wait() == 0
        watchdog.cancel()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_the_streams_are_utf_8_whatever_the_locale_says(encoding: str) -> None:
    bad = b'{"now": "\\ud800"}\n\xff\n'
    result = subprocess.run(
        COMMAND,
        cwd=ROOT,
        input=json.dumps(REQUEST, ensure_ascii=False).encode() + b"\n" + bad,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C"},
        timeout=60,
    )

    assert result.returncode == 1
    assert result.stderr == b""
    lines = result.stdout.split(b"\n")
    assert json.loads(lines[0]) == ANSWER
    assert len(lines) == 4


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    with subprocess.Popen(
        COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, errors = process.communicate((GOOD + b"\n") * 100, timeout=60)

    assert errors == b""
    assert process.returncode == 1
