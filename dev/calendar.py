"""Somebody's calendar from the command line, in the simulated Exchange of a running development stack.

    python -m dev.calendar add --user anna --in 2m --for 30m --subject "Review" --show-as busy
    python -m dev.calendar add --user anna --at "2026-11-22 14:00" --for 1h --private
    python -m dev.calendar move --user anna --id 7 --by 15m
    python -m dev.calendar cancel --user anna --id 7@2026-11-23
    python -m dev.calendar list --user anna --hours 48

``--user`` is a mailbox's address, an alias, or the local part of one. Ids are those that ``list`` shows.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

RUNNING = Path(__file__).resolve().parent.parent / ".run" / "run.json"
SHOW_AS = ("free", "tentative", "busy", "out_of_office", "working_elsewhere", "no_data")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class Mistake(Exception):
    """What the person at the keyboard should read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = parse_command(arguments)
    try:
        calendar = Calendar(options.control or find_control(RUNNING), options.user)
        for line in COMMANDS[options.command](calendar, options, datetime.now(UTC)):
            print(line)
    except Mistake as mistake:
        print(f"calendar: {mistake}", file=sys.stderr)
        return 1
    return 0


def parse_command(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Exits with a usage message for a command line that makes no sense."""
    parser = argparse.ArgumentParser(
        prog="calendar", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--control", help="address of the simulator's control API")
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="add an appointment")
    when = add.add_mutually_exclusive_group(required=True)
    when.add_argument("--in", dest="after", type=read_span, help="how long from now, as in 2m, 1h30m, 1d")
    when.add_argument("--at", help='local time of the mailbox, as in "2026-11-22 14:00"')
    add.add_argument("--for", dest="length", type=read_span, help="how long it takes (default 30m, 1d)")
    add.add_argument("--subject", default="Appointment")
    add.add_argument("--show-as", choices=SHOW_AS, default="busy")
    add.add_argument("--private", action="store_true")
    add.add_argument("--all-day", action="store_true")
    move = commands.add_parser("move", help="move an appointment")
    where = move.add_mutually_exclusive_group(required=True)
    where.add_argument("--by", type=read_span, help="how much later, as in 15m; -15m is earlier")
    where.add_argument("--to", help='local time of the mailbox, as in "2026-11-22 14:00"')
    cancel = commands.add_parser("cancel", help="delete an appointment, or one occurrence of a series")
    list_ = commands.add_parser("list", help="show what lies ahead")
    list_.add_argument("--hours", type=float, default=48)
    for command in (add, move, cancel, list_):
        command.add_argument("--user", required=True, help="address, alias, or the local part of one")
    for command in (move, cancel):
        command.add_argument("--id", required=True, help="as list shows it")
    given = list(sys.argv[1:] if arguments is None else arguments)
    return parser.parse_args(_bind_negative_spans(given))


def _bind_negative_spans(arguments: list[str]) -> list[str]:
    """``--by -15m`` as ``--by=-15m``, or argparse takes the span for an option."""
    bound: list[str] = []
    for argument in arguments:
        if bound and bound[-1] == "--by" and argument.startswith("-"):
            bound[-1] = f"--by={argument}"
        else:
            bound.append(argument)
    return bound


def read_span(text: str) -> timedelta:
    """``2m``, ``1h30m``, ``1d`` or ``-15m``. Raises ArgumentTypeError."""
    if not re.fullmatch(r"-?(\d+[mhd])+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time such as 15m, 1h30m or 1d")
    total = sum(
        (int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([mhd])", text)), timedelta()
    )
    return -total if text.startswith("-") else total


def find_control(path: Path) -> str:
    """The address of the control API of what is running. Raises Mistake."""
    try:
        return str(json.loads(path.read_text())["exchange_control"])
    except FileNotFoundError:
        raise Mistake("nothing is running: start make run") from None
    except (ValueError, KeyError):
        raise Mistake(f"{path} names no exchange_control: start make run again") from None


def round_up(instant: datetime) -> datetime:
    """The next whole minute, or the instant itself where it is one: calendars know no seconds."""
    whole = instant.replace(second=0, microsecond=0)
    return whole if whole == instant else whole + timedelta(minutes=1)


class Calendar:
    """One mailbox's calendar behind the control API. Methods raise Mistake."""

    def __init__(self, control: str, user: str) -> None:
        self._path = f"{control.rstrip('/')}/mailboxes/{quote(user)}"

    def read_zone(self) -> ZoneInfo:
        return ZoneInfo(self._call("GET", "")["zone"])

    def read(self, start: datetime, end: datetime) -> list[dict[str, Any]]:
        window = urlencode({"start": start.isoformat(), "end": end.isoformat()})
        appointments: list[dict[str, Any]] = self._call("GET", f"/appointments?{window}")["appointments"]
        return appointments

    def add(self, data: dict[str, Any]) -> dict[str, Any]:
        return self._call("POST", "/appointments", data)

    def change(self, reference: str, data: dict[str, Any]) -> dict[str, Any]:
        return self._call("PATCH", f"/appointments/{quote(reference)}", data)

    def cancel(self, reference: str) -> dict[str, Any]:
        return self._call("DELETE", f"/appointments/{quote(reference)}")

    def _call(self, method: str, path: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(
            self._path + path, body, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            with error:
                raise Mistake(_explain(error)) from None
        except OSError as error:
            raise Mistake(f"the simulated Exchange does not answer ({error}): start make run") from None


def _explain(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError):
        return f"the simulated Exchange answered {error.code}"


def add_appointment(calendar: Calendar, options: argparse.Namespace, now: datetime) -> list[str]:
    """``now`` is an aware datetime."""
    zone = calendar.read_zone()
    start = read_local(options.at, zone) if options.at else round_up(now + options.after)
    if options.all_day:
        first = start.astimezone(zone).date()
        days = options.length or timedelta(days=1)
        times = {"start": f"{first}", "end": f"{first + max(timedelta(days=1), days)}"}
    else:
        times = {
            "start": start.isoformat(),
            "end": (start + (options.length or timedelta(minutes=30))).isoformat(),
        }
    data = {
        "subject": options.subject,
        **times,
        "show_as": options.show_as,
        "all_day": options.all_day,
        "sensitivity": "private" if options.private else "normal",
    }
    return ["added", describe(calendar.add(data), zone)]


def move_appointment(calendar: Calendar, options: argparse.Namespace, now: datetime) -> list[str]:
    zone = calendar.read_zone()
    if options.to:
        changes: dict[str, Any] = {"start": read_local(options.to, zone).isoformat()}
    else:
        changes = {"by": options.by.total_seconds() / 60}
    return ["moved", describe(calendar.change(options.id, changes), zone)]


def cancel_appointment(calendar: Calendar, options: argparse.Namespace, now: datetime) -> list[str]:
    zone = calendar.read_zone()
    return ["cancelled", describe(calendar.cancel(options.id), zone)]


def list_appointments(calendar: Calendar, options: argparse.Namespace, now: datetime) -> list[str]:
    zone = calendar.read_zone()
    entries = calendar.read(now, now + timedelta(hours=options.hours))
    return [describe(entry, zone) for entry in entries] or ["nothing lies ahead"]


COMMANDS = {
    "add": add_appointment,
    "move": move_appointment,
    "cancel": cancel_appointment,
    "list": list_appointments,
}


def read_local(text: str, zone: ZoneInfo) -> datetime:
    """An ISO date and time; without an offset it is meant in ``zone``. Raises Mistake."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise Mistake(f"{text!r} is no date and time such as 2026-11-22 14:00") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=zone)


def describe(entry: dict[str, Any], zone: ZoneInfo) -> str:
    """One line: id, local times, what it shows as, and what is special about it."""
    start, end = (datetime.fromisoformat(entry[name]).astimezone(zone) for name in ("start", "end"))
    if entry["all_day"]:
        last = end - timedelta(days=1)
        times = f"{start:%a %d %b}" if last <= start else f"{start:%a %d %b} to {last:%a %d %b}"
    else:
        until = f"{end:%H:%M}" if end.date() == start.date() else f"{end:%a %d %b %H:%M}"
        times = f"{start:%a %d %b %H:%M} to {until}"
    marks = [entry["show_as"].replace("_", " ")]
    marks += [entry["sensitivity"]] if entry["sensitivity"] != "normal" else []
    marks += ["cancelled"] if entry["cancelled"] else []
    marks += [entry["response"]] if entry["response"] in ("decline", "tentative", "no_response") else []
    return f"{entry['id']:<14} {times:<32} {entry['subject']} ({', '.join(marks)})"


if __name__ == "__main__":
    sys.exit(main())
