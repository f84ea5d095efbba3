"""The storage emulator as a process."""

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dev.azurite import Azurite, AzuriteError

pytestmark = pytest.mark.integration


def queue_port(connection_string: str) -> int:
    match = re.search(r"QueueEndpoint=http://127.0.0.1:(\d+)/", connection_string)
    assert match is not None
    return int(match[1])


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_it_answers_inside_the_context_only_and_says_when_a_port_is_taken() -> None:
    with Azurite() as emulator:
        port = queue_port(emulator.connection_string)
        assert answers(port)
        with pytest.raises(AzuriteError, match="EADDRINUSE"):
            Azurite(queue_port=port).__enter__()
    assert not answers(port)


def test_it_does_not_outlive_a_process_that_is_killed() -> None:
    code = (
        "import sys, time; from dev.azurite import Azurite\n"
        "with Azurite() as emulator: print(emulator.connection_string, flush=True); time.sleep(60)"
    )
    arguments = [sys.executable, "-c", code]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        port = queue_port(process.stdout.readline().decode())
        assert answers(port)
        process.kill()
    deadline = time.monotonic() + 60
    while answers(port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURITE", "/nowhere/azurite")
    with pytest.raises(AzuriteError, match="make setup"):
        Azurite().__enter__()
