"""Simulators as processes of their own, so that what is measured has the interpreter to itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shared.pbx.session import PbxLink
from tests.bench.parts.company import Employee

PASSWORD = "bench"


@contextmanager
def pbx(directory: Path, employees: Sequence[Employee]) -> Iterator[PbxLink]:
    """A PBX that knows these users."""
    seed, authority = directory / "pbx.json", directory / "pbx.pem"
    users = [
        {"guid": employee.user.guid, "h323": employee.user.sip, "cn": employee.user.common_name}
        for employee in employees
    ]
    seed.write_text(json.dumps({"users": users}))
    options = ["--password", PASSWORD, "--seed", str(seed), "--ca-file", str(authority)]
    with process("dev.pbx", options) as line:
        address = re.search(r"wss://\S+?(?=,)", line)
        assert address, line
        yield PbxLink(address[0], "master", "calendarsync", PASSWORD, authority.read_text())


@contextmanager
def exchange(directory: Path, employees: Sequence[Employee], *options: str) -> Iterator[tuple[str, str, str]]:
    """An Exchange with these mailboxes: its address, that of its controls, its authority's certificate."""
    seed, authority = directory / "exchange.json", directory / "exchange.pem"
    mailboxes = [
        {
            "address": employee.mailbox,
            "appointments": [
                {"subject": item.subject, "start": item.start.isoformat(), "end": item.end.isoformat()}
                for item in employee.appointments
            ],
        }
        for employee in employees
    ]
    seed.write_text(json.dumps({"mailboxes": mailboxes}))
    arguments = ["--password", PASSWORD, "--seed", str(seed), "--ca-file", str(authority), *options]
    with process("dev.exchange", arguments) as line:
        address = re.search(r"https://\S+", line)
        control = re.search(r"control (http://\S+)", line)
        assert address, line
        assert control, line
        yield address[0], control[1], authority.read_text()


@contextmanager
def process(module: str, options: Sequence[str]) -> Iterator[str]:
    """A module of this project as a process; its first line, which says that it is ready."""
    running = subprocess.Popen(
        [sys.executable, "-m", module, *options], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    try:
        assert running.stdout is not None
        yield running.stdout.readline()
    finally:
        running.terminate()
        running.communicate()
