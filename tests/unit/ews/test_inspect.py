"""``python -m shared.ews inspect``: what support sees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.ews.__main__ import main
from tests.unit.ews import messages

SAMPLES = Path(__file__).parents[4] / "shared" / "ews" / "samples"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "message"


def inspect(capsys: pytest.CaptureFixture[str], kind: str, file: Path, content: bytes) -> dict[str, Any]:
    file.write_bytes(content)
    assert main(["inspect", kind, str(file)]) == 0
    understood: dict[str, Any] = json.loads(capsys.readouterr().out)
    return understood


def refuse(capsys: pytest.CaptureFixture[str], kind: str, file: Path) -> str:
    assert main(["inspect", kind, str(file)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    return line


def test_finditem(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    more = (
        "<t:IsAllDayEvent>true</t:IsAllDayEvent><t:LegacyFreeBusyStatus>OOF</t:LegacyFreeBusyStatus>"
        "<t:Sensitivity>Normal</t:Sensitivity><t:MyResponseType>NoResponseReceived</t:MyResponseType>"
        + messages.organizer("Boß", "boss@example.com", "SMTP")
    )
    body = messages.found_items(messages.item("2017-08-21T10:30:00+02:00", more=more), complete=False)
    assert inspect(capsys, "finditem", file, body) == {
        "appointments": [
            {
                "uid": "uid-1",
                "subject": "Meeting",
                "start": "2017-08-21T08:30:00Z",
                "end": "2017-08-21T09:30:00Z",
                "all_day": True,
                "show_as": "out_of_office",
                "sensitivity": "normal",
                "organizer": "boss@example.com",
                "organizer_name": "Boß",
                "cancelled": False,
                "response": "no_response",
            }
        ],
        "complete": False,
        "skipped": 0,
        "unknown": 0,
        "server_version": "15.2.1544.4",
    }


def test_finditem_is_in_order_of_time(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    late = messages.item("2017-08-21T18:00:00Z", "2017-08-21T19:00:00Z", uid="late")
    understood = inspect(capsys, "finditem", file, messages.found_items(late, messages.item(), late))
    assert [appointment["uid"] for appointment in understood["appointments"]] == ["uid-1", "late"]


def test_resolvenames(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    body = messages.resolved(messages.resolution("a@example.com", "smtp:b@example.com"))
    assert inspect(capsys, "resolvenames", file, body) == {
        "matches": [{"primary": "a@example.com", "aliases": ["b@example.com"], "type": "Mailbox"}],
        "error": None,
    }
    two = messages.resolved(messages.resolution("a@example.com"), messages.resolution("b@example.com"))
    understood = inspect(capsys, "resolvenames", file, two)
    assert (len(understood["matches"]), understood["error"]) == (2, None)
    for code in ("ErrorNameResolutionNoResults", "ErrorNameResolutionNoMailbox"):
        for body in (messages.refusal("ResolveNames", code), messages.fault(code)):
            assert inspect(capsys, "resolvenames", file, body) == {"matches": [], "error": code}


def test_subscribe(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    assert inspect(capsys, "subscribe", file, messages.subscribed()) == {
        "subscription_id": "sub-1",
        "watermark": "mark-1",
        "error": None,
    }
    refused = messages.refusal("Subscribe", "ErrorExceededSubscriptionCount")
    assert inspect(capsys, "subscribe", file, refused) == {
        "subscription_id": None,
        "watermark": None,
        "error": "ErrorExceededSubscriptionCount",
    }


def test_notification(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    body = messages.send_notification(messages.notification(messages.event("MovedEvent")))
    assert inspect(capsys, "notification", file, body) == {
        "messages": [
            {
                "subscription_id": "sub-1",
                "previous_watermark": "mark-1",
                "watermark": "mark-2",
                "more_events": False,
                "events": ["MovedEvent"],
                "error": None,
            }
        ]
    }


def test_autodiscover(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    assert inspect(capsys, "autodiscover", file, b'{"Protocol":"Ews","Url":"https://x"}') == {
        "internal": None,
        "external": "https://x",
        "server_version": None,
        "redirect": None,
        "error": None,
    }


def test_fault(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    body = messages.fault("ErrorServerBusy", BackOffMilliseconds="297749")
    understood = inspect(capsys, "fault", file, body)
    assert understood.pop("meaning").startswith("Exchange is busy")
    assert understood == {"code": "ErrorServerBusy", "retry_after_s": 297.749}
    lasting = inspect(capsys, "fault", file, messages.refusal("FindItem", "ErrorAccessDenied"))
    assert (lasting["code"], lasting["retry_after_s"]) == ("ErrorAccessDenied", None)
    moving = inspect(capsys, "fault", file, messages.fault("ErrorMailboxMoveInProgress"))
    assert str(moving["retry_after_s"]) == "300"


@pytest.mark.parametrize(
    "kind", ["finditem", "resolvenames", "subscribe", "notification", "autodiscover", "fault"]
)
@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"<html></html>", messages.found_items()[:-30], b"\x89PNG\r\n"]
)
def test_says_in_a_line_what_it_cannot_read(
    capsys: pytest.CaptureFixture[str], file: Path, kind: str, content: bytes
) -> None:
    file.write_bytes(content)
    assert refuse(capsys, kind, file).startswith(f"{file}: ")


def test_says_what_exchange_refused(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    file.write_bytes(messages.refusal("FindItem", "ErrorAccessDenied"))
    assert "ErrorAccessDenied" in refuse(capsys, "finditem", file)


def test_says_that_a_message_is_of_another_kind(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    file.write_bytes(messages.found_items())
    assert "no SendNotification" in refuse(capsys, "notification", file)
    assert "reports no failure" in refuse(capsys, "fault", file)


def test_says_that_a_file_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "No such file" in refuse(capsys, "fault", tmp_path / "missing")
    assert "directory" in refuse(capsys, "fault", tmp_path)


@pytest.mark.parametrize(
    "arguments", [[], ["inspect"], ["inspect", "fault"], ["inspect", "poem", "x"], ["look"]]
)
def test_a_wrong_command_is_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_runs_as_a_module(file: Path) -> None:
    file.write_bytes(messages.fault("ErrorADUnavailable"))
    command = [sys.executable, "-m", "shared.ews", "inspect", "fault", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, json.loads(done.stdout)["code"], done.stderr) == (0, "ErrorADUnavailable", "")


def test_reads_or_refuses_every_sample(capsys: pytest.CaptureFixture[str]) -> None:
    if not SAMPLES.is_dir():
        pytest.skip("needs the EWS samples in ../shared/ews/samples, beside the checkout")
    kinds = {"sendnotification": "notification", "autodiscover": "autodiscover", "unsubscribe": "fault"}
    for sample in sorted(SAMPLES.iterdir()):
        beginning = sample.name.partition("-")[0]
        kind = kinds.get(
            beginning, beginning if beginning in ("finditem", "resolvenames", "subscribe") else "fault"
        )
        status = main(["inspect", kind, str(sample)])
        output = capsys.readouterr()
        if status == 0:
            assert json.loads(output.out), sample.name
        else:
            assert status == 1
            assert len(output.err.splitlines()) == 1, sample.name
        read = (
            not beginning.startswith(("finditem", "html", "sendnotificationresult"))
            and "request" not in sample.name
        )
        assert (status == 0) is read, sample.name
