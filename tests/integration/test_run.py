"""``make run`` as somebody at a terminal sees it: processes of their own, ended by a signal."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.ports import find_ports

ROOT = Path(__file__).resolve().parents[2]


class Run:
    """A running ``dev.run``: its lines as they come."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dev.run", "--directory", str(directory), *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self.lines: list[str] = []

    def read_until(self, pattern: str, seconds: float = 120) -> str:
        """The first line from here on that matches; fails at the end of the output, or after a time."""
        assert self.process.stdout is not None
        deadline = threading.Timer(seconds, self.process.terminate)
        deadline.start()
        try:
            return self._read_until(pattern, self.process.stdout)
        finally:
            deadline.cancel()

    def _read_until(self, pattern: str, output: IO[str]) -> str:
        for line in output:
            self.lines.append(line.rstrip("\n"))
            if re.search(pattern, line):
                return line
        raise AssertionError(f"{pattern!r} never came:\n" + "\n".join(self.lines))

    def announced(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.directory / "run.json").read_text())
        return found

    def wait(self) -> int:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            self.lines += output.read().splitlines()
        return self.process.wait(60)


def find_children(process: int) -> list[int]:
    """The processes that this one has started, and they in turn."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listed.splitlines())}
    found = [process]
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return found[1:]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    run = Run(tmp_path_factory.mktemp("run"), "--port", str(find_ports(10)))
    try:
        run.read_until("Ctrl-C")
        yield run
    finally:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGINT)
            run.wait()


def test_the_table_shows_everybody_and_nobody_is_wrong(running: Run) -> None:
    text = "\n".join(running.lines)
    assert re.search(r"^guenter .*\(no mailbox\)$", text, re.MULTILINE)
    assert len(re.findall(r"^\w+ .* (?:free|busy|away|dnd ) .*(?:until|Free)", text, re.MULTILINE)) == 24
    assert "25 users, 1 without a mailbox, 0 wrong" in text


def test_a_change_of_a_calendar_shows_by_itself(running: Run) -> None:
    command = [
        "add",
        "--user",
        "anna",
        "--in",
        "0m",
        "--subject",
        "Über Mittag 🎉",
        "--show-as",
        "out_of_office",
    ]
    control = running.announced()["exchange_control"]
    subprocess.run(
        [sys.executable, "-m", "dev.calendar", "--control", control, *command],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    # Where another one is under way that ends in that minute, its note changes only then.
    assert running.read_until("^..:..:..  anna .* until ", seconds=90)


def test_a_second_start_says_that_one_runs(running: Run) -> None:
    second = Run(running.directory, "--once", "--port", str(find_ports(10)))
    assert second.wait() == 1
    assert second.lines == [
        f"run: It is running already: process {running.process.pid}, {running.announced()['functions']}. "
        "Stop that one first (Ctrl-C in its terminal)."
    ]


def test_an_interrupt_ends_every_process(running: Run) -> None:
    children = find_children(running.process.pid)
    assert len(children) >= 4
    running.process.send_signal(signal.SIGINT)
    assert running.wait() == 0
    assert running.lines[-1] == "stopped"
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert not (running.directory / "run.json").exists()


def test_ports_in_use_are_named_with_their_purpose(tmp_path: Path) -> None:
    first = find_ports(10)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 3))
        taken.listen()
        run = Run(tmp_path, "--once", "--port", str(first))
        assert run.wait() == 1
    assert run.lines[0].startswith(f"run: These ports are in use: {first + 3} (Exchange).")


def test_once_ends_after_the_table_with_status_0_also_with_exchange_online(tmp_path: Path) -> None:
    """On premises is what the others run with."""
    run = Run(
        tmp_path, "--once", "--users", "3", "--port", str(find_ports(10)), "--sync-type", "cloud-app-only"
    )
    assert run.wait() == 0, "\n".join(run.lines)
    assert run.lines[-1] == "3 users, 0 without a mailbox, 0 wrong"
