"""The storage emulator Azurite (npm package ``azurite``) as a child process."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

EXECUTABLE = Path(__file__).parent / "node_modules" / ".bin" / "azurite"
PRELOAD = Path(__file__).with_suffix(".js")
START_SECONDS = 30.0

# The account and key that the emulator documents for everybody; not a secret.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_LISTENING = re.compile(r"(Blob|Queue|Table) service is successfully listening at http://127\.0\.0\.1:(\d+)")


# Runs a command until standard input ends, which it also does when whoever holds the pipe is killed.
_UNTIL_EOF = 'exec 3<&0; "$@" 3<&- & child=$!; (cat <&3 >/dev/null; kill $child) & wait $child'


class AzuriteError(Exception):
    """The emulator is missing or did not start; the text says what to do."""


class Azurite:
    """A context manager: the emulator runs inside it, holds everything in memory, and is gone after it.

    With a ``location`` everything is kept in that directory, for the next one. ``preload`` is a script that
    it loads first. Port 0 takes a free one. The executable is that of ``make setup``, or the one that the
    variable AZURITE names. Entering raises AzuriteError; after it ``connection_string`` is there.
    """

    def __init__(
        self,
        blob_port: int = 0,
        queue_port: int = 0,
        table_port: int = 0,
        *,
        location: Path | None = None,
        preload: Path = PRELOAD,
    ) -> None:
        self._ports = ("--blobPort", blob_port), ("--queuePort", queue_port), ("--tablePort", table_port)
        self._kept = ("--location", str(location)) if location else ("--inMemoryPersistence",)
        # It writes what it holds when the last connection has ended.
        self._patience = 60 if location else 5
        self._preload = preload
        self.connection_string = ""

    def __enter__(self) -> Self:
        executable = Path(os.environ.get("AZURITE") or EXECUTABLE)
        if not executable.exists():
            raise AzuriteError("Azurite is missing: run 'make setup'.")
        self._directory = tempfile.TemporaryDirectory(prefix="azurite-")
        output = Path(self._directory.name) / "output"
        options = [*self._kept, "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        options += [text for option, port in self._ports for text in (option, str(port))]
        with output.open("wb") as stream:
            self._process = subprocess.Popen(
                ["sh", "-c", _UNTIL_EOF, "sh", str(executable.absolute()), *options],
                cwd=self._directory.name,
                env=os.environ | {"NODE_OPTIONS": f"--require {json.dumps(str(self._preload.absolute()))}"},
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=stream,
                # Else an interrupt at the terminal would stop it before those who still write to it.
                start_new_session=True,
            )
        try:
            self._wait(output)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._process.communicate(timeout=self._patience)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._directory.cleanup()

    def _wait(self, output: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while len(ports := dict(_LISTENING.findall(text := output.read_text("utf-8", "replace")))) < 3:
            if self._process.poll() is not None:
                raise AzuriteError(f"Azurite ended at once: {' '.join(text.split())[-300:]}")
            if time.monotonic() > deadline:
                raise AzuriteError(f"Azurite did not start within {START_SECONDS:.0f} s.")
            time.sleep(0.05)
        ends = "".join(
            f"{name}Endpoint=http://127.0.0.1:{port}/{ACCOUNT};" for name, port in sorted(ports.items())
        )
        account = f"AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY}"
        self.connection_string = f"DefaultEndpointsProtocol=http;{account};{ends}"
