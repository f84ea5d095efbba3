"""The command ``python -m shared.presence``: composes notes, or reads them, a line at a time."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import IO

from shared.presence.checks import Fault, FieldError
from shared.presence.composition import compose
from shared.presence.reading import read, render
from shared.presence.request import parse_instant, parse_request, write_instant
from shared.presence.rules import find_language, find_zone

_MARK = b"\xef\xbb\xbf"
"""A byte order mark, with which some systems begin a file."""


def run(
    arguments: Sequence[str], lines: Iterable[bytes], output: IO[bytes], clock: Callable[[], datetime]
) -> int:
    """Answer every line with a line and return the exit status: 1 if a line was bad, else 0.

    ``clock`` tells the present instant where the arguments don't. Raises SystemExit (2) for wrong arguments.
    """
    parser = _make_parser()
    options = parser.parse_args(arguments)
    if options.read is not None:
        return _run_reading(parser, options, lines, output, clock)
    if options.timezone is not None or options.now is not None:
        parser.error("--timezone and --now belong to --read; when composing they are in each line.")
    return _run_composing(lines, output)


def compose_line(line: bytes) -> tuple[dict[str, str | None], bool]:
    """Compose the note that one line of JSON asks for: the answer, and whether the line was good."""
    try:
        request = parse_request(line.decode())
        presence = compose(request.appointments, request.now, request.rules)
    except UnicodeDecodeError as error:
        fault = Fault("line", f"not UTF-8 from byte {error.start + 1} on", "Save the input as UTF-8.")
        return {"error": str(fault)}, False
    except FieldError as error:
        return {"error": str(error)}, False
    changes_at = None if presence.changes_at is None else write_instant(presence.changes_at)
    activity = presence.activity.on_pbx
    return {"activity": activity, "note": presence.note, "changes_at": changes_at}, True


def _run_composing(lines: Iterable[bytes], output: IO[bytes]) -> int:
    status = 0
    for line in _strip(lines):
        answer, good = compose_line(line)
        if not good:
            status = 1
        # JSON writes a lone surrogate the way backslashreplace does.
        output.write(json.dumps(answer, ensure_ascii=False).encode(errors="backslashreplace") + b"\n")
        output.flush()
    return status


def _run_reading(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    lines: Iterable[bytes],
    output: IO[bytes],
    clock: Callable[[], datetime],
) -> int:
    if options.timezone is None:
        parser.error("--timezone: missing. Name the reader's time zone, such as Europe/Berlin.")
    try:
        find_language(options.read)
        zone = find_zone(options.timezone)
        now = None if options.now is None else parse_instant("--now", options.now)
    except FieldError as error:
        parser.error(str(error))
    for line in _strip(lines):
        parsed = read(line.decode(errors="replace"))
        sentence = render(parsed, options.read, zone, now or clock())
        output.write(sentence.encode() + b"\n")
        output.flush()
    return 0


def _strip(lines: Iterable[bytes]) -> Iterable[bytes]:
    for number, line in enumerate(lines):
        text = line if number else line.removeprefix(_MARK)
        yield text.removesuffix(b"\n").removesuffix(b"\r")


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m shared.presence",
        description="Composes presence notes: one JSON object a line in, one result a line out.",
    )
    parser.add_argument(
        "--read",
        metavar="LANGUAGE",
        help="read notes instead, a line each, and write what a reader of this language sees",
    )
    parser.add_argument("--timezone", metavar="ZONE", help="the reader's time zone, such as Europe/Berlin")
    parser.add_argument("--now", metavar="INSTANT", help="when it is read; the present if left out")
    return parser
