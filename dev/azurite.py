"""The storage emulator Azurite (npm package ``azurite``) as a child process on free ports."""

import http.client
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from dev.host.configuration import emulator_connection

EXECUTABLE = Path(__file__).parent / "node_modules" / ".bin" / "azurite"
START_SECONDS = 30.0


class AzuriteError(Exception):
    """The emulator is missing or did not start; the text says what to do."""


class Azurite:
    """A context manager: the emulator runs inside it, holds everything in memory, and is gone after it.

    The executable is that of ``make setup``, or the one that the variable AZURITE names. Raises AzuriteError.
    """

    def __init__(self, blob_port: int = 0, queue_port: int = 0, table_port: int = 0) -> None:
        free = _free_ports(3)
        self.ports = tuple(port or free[i] for i, port in enumerate((blob_port, queue_port, table_port)))
        self.connection_string = emulator_connection(*self.ports)

    def __enter__(self) -> Self:
        executable = Path(os.environ.get("AZURITE") or EXECUTABLE)
        if not executable.exists():
            raise AzuriteError("Azurite is missing: run 'make setup'.")
        self._directory = tempfile.TemporaryDirectory(prefix="azurite-")
        self._stderr = (Path(self._directory.name) / "stderr").open("w+")
        blob, queue, table = map(str, self.ports)
        self._process = subprocess.Popen(
            [
                executable,
                *("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"),
                *("--blobPort", blob, "--queuePort", queue, "--tablePort", table),
            ],
            cwd=self._directory.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            # Else an interrupt at the terminal would stop it before those who still write to it.
            start_new_session=True,
        )
        try:
            self._wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()
        self._directory.cleanup()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not all(map(_answers, self.ports)):
            if self._process.poll() is not None:
                self._stderr.seek(0)
                raise AzuriteError(f"Azurite ended at once: {' '.join(self._stderr.read().split())[:300]}")
            if time.monotonic() > deadline:
                raise AzuriteError(f"Azurite did not answer within {START_SECONDS:.0f} s.")
            time.sleep(0.05)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [listener.getsockname()[1] for listener in sockets]
    finally:
        for listener in sockets:
            listener.close()
