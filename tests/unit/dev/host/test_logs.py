import json
import logging
import sys

from dev.host.__main__ import JsonLines
from dev.host.host import current_invocation


def record(message: str, **extra: object) -> logging.LogRecord:
    return logging.getLogger("x").makeRecord("x", logging.INFO, "f", 1, message, (), None, extra=extra)


def test_a_record_of_user_code_says_which_invocation_it_belongs_to() -> None:
    token = current_invocation.set({"function": "tick", "invocation_id": "id-1"})
    try:
        line = json.loads(JsonLines().format(record("two\nlines")))
    finally:
        current_invocation.reset(token)
    assert (line["function"], line["invocation_id"]) == ("tick", "id-1")
    assert line["message"] == "two\nlines"


def test_a_record_is_one_line_with_its_fields() -> None:
    text = JsonLines().format(record("tick failed", outcome="failed", duration_ms=1.5, detail="a\nb"))
    assert "\n" not in text
    line = json.loads(text)
    assert (line["outcome"], line["duration_ms"], line["detail"]) == ("failed", 1.5, "a\nb")
    assert "function" not in line


def test_an_exception_is_on_the_same_line() -> None:
    try:
        raise RuntimeError("why")
    except RuntimeError:
        failed = record("it failed")
        failed.exc_info = sys.exc_info()
    text = JsonLines().format(failed)
    assert "\n" not in text
    assert "RuntimeError: why" in json.loads(text)["exception"]
