"""One run at a time in a checkout, and what it tells other commands."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class RunError(Exception):
    """Why it can't start; the text is one sentence for whoever typed the command."""


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Hold the checkout's lock. Raises RunError where another run has it."""
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(_describe_other(directory)) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            (directory / "run.json").unlink(missing_ok=True)


def announce(directory: Path, facts: Mapping[str, object]) -> None:
    """Tell other commands of this checkout what runs where, in ``run.json``."""
    (directory / "run.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")


def check_ports(ports: Mapping[int, str]) -> None:
    """Raises RunError that names every port which is taken, and for what it is needed."""
    taken = [f"{port} ({purpose})" for port, purpose in ports.items() if not _is_free(port)]
    if taken:
        raise RunError(
            f"These ports are in use: {', '.join(taken)}. "
            "Stop what uses them, or choose others: ARGS='--port N'."
        )


def _is_free(port: int) -> bool:
    with socket.socket() as attempt:
        # A server that has just ended leaves its port in a state in which it can be taken again.
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _describe_other(directory: Path) -> str:
    process = (directory / "lock").read_text().strip()
    try:
        url = json.loads((directory / "run.json").read_text())["functions"]
    except (OSError, ValueError, KeyError):
        url = "still starting"
    return f"It is running already: process {process}, {url}. Stop that one first (Ctrl-C in its terminal)."
