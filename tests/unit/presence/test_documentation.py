"""The page for client developers says what is true: its examples are run, its tables compared."""

from __future__ import annotations

import io
import re
import shlex
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.model import Appointment, Response, Sensitivity, ShowAs
from shared.presence import ActivityMapping, Omission, PresenceRules, Rule, languages
from shared.presence.command import run


def present() -> datetime:
    return datetime(2017, 8, 21, 6, tzinfo=UTC)


PAGE = (Path(__file__).resolve().parents[3] / "docs" / "presence-note.md").read_text("utf-8")
SESSIONS = re.findall(
    r"^```console\n\$ ([^\n]*) <<'END'\n(.*?)^END\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
)
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

HELP = re.findall(
    r"^```text\n\$ python -m shared\.presence --help\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
)


def find_rows(first: str) -> list[list[str]]:
    """Give the rows of the table whose first column has this heading."""
    table = PAGE.split(f"\n| {first} |")[1].split("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def test_every_example_is_run() -> None:
    assert PAGE.count("```") == 2 * (len(SESSIONS) + len(PROGRAMS) + len(HELP))
    assert len(SESSIONS) == 5
    assert len(PROGRAMS) == len(HELP) == 1


@pytest.mark.parametrize(("command", "given", "answered"), SESSIONS)
def test_an_example_of_the_command_answers_as_written(command: str, given: str, answered: str) -> None:
    python, module, name, *arguments = shlex.split(command)
    output = io.BytesIO()
    status = run(arguments, given.encode().splitlines(keepends=True), output, present)

    assert (python, module, name) == ("python", "-m", "shared.presence")
    assert output.getvalue().decode() == answered
    assert status == ('{"error"' in answered)


def test_the_help_is_the_commands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    with pytest.raises(SystemExit) as caught:
        run(["--help"], [], io.BytesIO(), present)

    assert caught.value.code == 0
    assert capsys.readouterr().out == HELP[0]


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_example_of_the_package_runs(program: str) -> None:
    assert "\nassert " in program
    exec(compile(program, "docs/presence-note.md", "exec"), {})


def test_the_note_at_the_top_is_the_one_of_the_first_example() -> None:
    note = re.findall(r"^    (Free until .*)$", PAGE, re.MULTILINE)[0]

    assert f'"note": "{note}"' in SESSIONS[0][2]


def test_the_table_of_languages_is_the_engines() -> None:
    assert find_rows("code") == [
        [row.code, row.free, row.busy, row.away, row.private, row.until, row.date, str(row.clock)]
        for row in languages.values()
    ]


def test_the_rules_and_reasons_are_the_engines() -> None:
    tables = PAGE.split("\n| word |")
    rules, reasons = (
        re.findall(r"^\| `(\w+)` \|", table.split("\n\n")[0], re.MULTILINE) for table in tables[1:]
    )

    assert rules == list(Rule)
    assert reasons == list(Omission)


def test_the_fields_of_a_line_and_their_defaults_are_the_engines() -> None:
    rows = {row[0].strip("`"): row[1:] for row in find_rows("field")}
    rules, appointment = PresenceRules(), Appointment("1", *[PresenceRules] * 2)  # type: ignore[arg-type]
    defaults = {f"settings.{field.name}": getattr(rules, field.name) for field in fields(rules) if field.init}
    mapping = defaults.pop("settings.mapping")
    defaults |= {
        f"settings.mapping.{field.name}": getattr(mapping, field.name) or "ignore"
        for field in fields(ActivityMapping)
    }
    required = {"id", "start", "end"}
    unread = {"organizer_name", "rank"}
    for field in fields(appointment):
        if field.name not in required | unread:
            defaults[f"appointments[].{field.name}"] = getattr(appointment, field.name)
    written = {True: "`true`", False: "`false`", (): "none", "": "empty"}

    assert {name for name, row in rows.items() if row[-1] == "an error"} == {
        "now",
        "appointments",
        *(f"appointments[].{name}" for name in required),
    }
    assert {name: row[-1] for name, row in rows.items() if row[-1] != "an error"} == {
        name: written.get(value, f"`{value}`") for name, value in defaults.items()
    }
    for name, choices in (("show_as", ShowAs), ("sensitivity", Sensitivity), ("response", Response)):
        assert rows[f"appointments[].{name}"][0] == ", ".join(f"`{choice}`" for choice in choices)
