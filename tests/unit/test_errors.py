"""The tree of errors: as drawn, and what each says."""

import inspect
import re
from datetime import timedelta

import pytest

from shared import errors
from shared.errors import (
    CalendarError,
    ExchangeBusy,
    InvalidSettings,
    PbxLoginRefused,
    PbxUnavailable,
    PresenceRefused,
    SettingsError,
    StateConflict,
    WrongPbx,
)


def drawn_parents() -> dict[str, str]:
    """Each class of the drawing with the class it hangs under."""
    parents: dict[str, str] = {}
    branch: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"    ([│├└─ ]*)([A-Z]\w+)(  |$)", line):
            depth = len(match[1]) // 4
            del branch[depth:]
            parents[match[2]] = branch[-1] if branch else "Exception"
            branch.append(match[2])
    return parents


def test_the_drawn_tree_is_the_tree() -> None:
    classes = [
        found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, Exception)
    ]
    assert drawn_parents() == {found.__name__: found.__base__.__name__ for found in classes if found.__base__}
    assert len(classes) > 10


def test_every_error_says_what_it_means() -> None:
    for name in drawn_parents():
        assert inspect.getdoc(getattr(errors, name)), name


def test_a_wrong_setting_names_field_fault_and_remedy() -> None:
    error = SettingsError("pbx.name", "is empty", "Fill it in.")
    assert (error.field, error.fault, error.remedy) == ("pbx.name", "is empty", "Fill it in.")
    assert str(error) == "pbx.name: is empty. Fill it in."


def test_wrong_settings_are_said_together() -> None:
    one, two = SettingsError("a", "b", "C."), SettingsError("d", "e", "F.")
    error = InvalidSettings(iter([one, two]))
    assert error.errors == (one, two)
    assert str(error) == "a: b. C. d: e. F."


def test_the_wrong_pbx_is_named_with_the_right_one() -> None:
    error = WrongPbx("master", "slave")
    assert (error.expected, error.found) == ("master", "slave")
    assert "that answered is 'slave', configured is 'master'" in str(error)


def test_a_refused_presence_keeps_the_pbxs_code() -> None:
    error = PresenceRefused(6, "The PBX answered error 6: no.")
    assert (error.code, str(error)) == (6, "The PBX answered error 6: no.")


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (StateConflict("changed"), None),
        (SettingsError("a", "b", "C."), None),
        (ExchangeBusy("ErrorServerBusy", "busy", retry_after=timedelta(seconds=7)), timedelta(seconds=7)),
        (PresenceRefused(None, "no answer"), timedelta(minutes=1)),
        (PbxUnavailable("away"), timedelta(seconds=5)),
        (PbxLoginRefused("refused"), timedelta(seconds=30)),
        (WrongPbx("a", "b"), timedelta(seconds=30)),
    ],
)
def test_an_error_says_when_to_try_again(error: CalendarError, pause: timedelta | None) -> None:
    assert error.retry_after == pause
