"""The processes of a run, started one after the other and ended in the opposite order."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
from cryptography.fernet import Fernet

from dev.azurite import Azurite, AzuriteError
from dev.run.identity import Identity
from dev.run.lock import RunError
from dev.seed import Seed
from shared.cipher import Cipher
from shared.environment import Environment
from shared.settings import SyncType, parse_section
from shared.state.config import ConfigStore
from shared.state.storage import Storage

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 60.0
PBX_NAME = "master"
ACCOUNT = "calendar@example.com"
LANGUAGE, ZONE = "en", "Europe/Berlin"

Say = Callable[[str, str], None]
"""Reports a step that is done: its name, and what came of it."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens: consecutive ports from ``first``, which is the functions'."""

    first: int

    @property
    def purposes(self) -> Mapping[int, str]:
        """What each port is for."""
        names = (
            "functions",
            "PBX",
            "PBX controls",
            "Exchange",
            "Exchange controls",
            "blob storage",
            "queue storage",
            "table storage",
            "Entra ID",
            "Entra ID controls",
        )
        return {self.first + number: name for number, name in enumerate(names)}


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs, and how to talk to it."""

    directory: Path
    functions: str
    pbx_control: str
    exchange_control: str
    entra_control: str
    environment: Environment
    master_key: str
    sections: Path
    """What there is to configure, with the passwords of the simulators."""
    processes: Mapping[str, subprocess.Popen[bytes]]

    def find_ended(self) -> str | None:
        """The name of a process that has ended by itself, or None."""
        return next((name for name, process in self.processes.items() if process.poll() is not None), None)

    async def replicate(self) -> None:
        """Have the PBX's users replicated now, as the hourly timer would."""
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                f"{self.functions}/admin/functions/directory",
                json={"input": ""},
                headers={"x-functions-key": self.master_key},
            )
            answer.raise_for_status()


@asynccontextmanager
async def start_stack(
    directory: Path,
    ports: Ports,
    seed: Seed,
    say: Say,
    sync_type: SyncType = SyncType.ON_PREMISES,
    admin_sign_in: str = "local",
    *,
    configured: bool = True,
) -> AsyncIterator[Stack]:
    """Start everything; all is ended on leaving. Logs go to ``directory``. Raises RunError.

    Without ``configured`` the configuration is only written to ``configuration.json``, for somebody to enter.
    """
    functions, pbx, pbx_control, exchange, exchange_control, blob, queue, table, *more = ports.purposes
    entra, entra_control = more
    identity = Identity(ACCOUNT, f"http://127.0.0.1:{functions}")
    password, app_password, key = (secrets.token_hex(12) for _ in range(3))
    processes: dict[str, subprocess.Popen[bytes]] = {}
    async with AsyncExitStack() as stack:
        storage = await _start_storage(stack, (blob, queue, table))
        say("storage", f"Azurite, tables at http://127.0.0.1:{table}")

        async def start(
            name: str, module: str, options: Mapping[str, object], ready: str, **environment: str
        ) -> None:
            arguments = ["-m", module, *(str(part) for option in options.items() for part in option)]
            processes[name] = await stack.enter_async_context(
                _process(name, arguments, directory / f"{name}.log", ready, environment)
            )

        pbx_ca, exchange_ca, entra_ca = (directory / f"{name}.pem" for name in ("pbx", "exchange", "entra"))
        await start(
            "pbx",
            "dev.pbx",
            {
                "--port": pbx,
                "--control-port": pbx_control,
                "--pbx-name": PBX_NAME,
                "--password": app_password,
                "--ca-file": pbx_ca,
                "--seed": _write(directory / "pbx.json", seed.pbx),
                "--display": "sentence",
                "--language": LANGUAGE,
                "--timezone": ZONE,
            },
            f"http://127.0.0.1:{pbx_control}/statistics",
        )
        say("pbx", f"simulated, wss://localhost:{pbx}, {len(seed.pbx['users'])} users")
        say("phones", f"http://127.0.0.1:{pbx_control}/phones")
        await start(
            "entra",
            "dev.entra",
            {
                "--port": entra,
                "--control-port": entra_control,
                "--ca-file": entra_ca,
                "--seed": _write(directory / "entra.json", identity.seed),
            },
            f"http://127.0.0.1:{entra_control}/statistics",
        )
        say("entra", f"simulated, https://127.0.0.1:{entra}, {ACCOUNT} can sign in")
        # An application resolves names as the configured user, who needs a mailbox for it.
        mailboxes = [*seed.exchange["mailboxes"], {"address": ACCOUNT, "name": "Calendar Service"}]
        await start(
            "exchange",
            "dev.exchange",
            {
                "--port": exchange,
                "--control-port": exchange_control,
                "--user": ACCOUNT,
                "--password": password,
                "--ca-file": exchange_ca,
                "--entra-control": f"http://127.0.0.1:{entra_control}",
                "--seed": _write(directory / "exchange.json", {"mailboxes": mailboxes}),
            },
            f"http://127.0.0.1:{exchange_control}/statistics",
        )
        say(
            "exchange",
            f"simulated, https://localhost:{exchange}, {len(mailboxes)} mailboxes",
        )
        settings = {
            "AzureWebJobsStorage": storage,
            "CALENDAR_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "CALENDAR_CALLBACK_URL": f"http://127.0.0.1:{functions}",
            "CALENDAR_AUTHORITY": f"https://127.0.0.1:{entra}",
            **identity.administration(local=admin_sign_in == "local"),
        }
        by_password = sync_type is SyncType.ON_PREMISES
        environment = Environment.read(settings)
        sections: Mapping[str, Mapping[str, object]] = {
            "pbx": {
                "address": f"localhost:{pbx}",
                "name": PBX_NAME,
                "password": app_password,
                "certificate": pbx_ca.read_text(),
            },
            "exchange": {
                "sync_type": sync_type,
                "user": ACCOUNT,
                "url": f"localhost:{exchange}",
                "certificate": exchange_ca.read_text() + entra_ca.read_text(),
                **({"password": password} if by_password else identity.exchange_section),
            },
            "presence": {
                "language": LANGUAGE,
                "timezone": ZONE,
                "tentative_exception_organizers": ["personnel@example.com"],
            },
        }
        written = _write(directory / "configuration.json", sections)
        await _configure(environment, sections if configured else {})
        if configured:
            say("configuration", f"{sync_type} Exchange, notes in {LANGUAGE}, {ZONE}")
        await start(
            "functions",
            "dev.host",
            {"--root": ROOT, "--port": functions},
            f"http://127.0.0.1:{functions}/admin/host/status",
            DEV_HOST_MASTER_KEY=key,
            # The page signs administrators in with the system's certificates, and here these are those.
            SSL_CERT_FILE=str(entra_ca.absolute()),
            **settings,
        )
        say("functions", f"http://127.0.0.1:{functions}")
        say("administration", f"http://127.0.0.1:{functions}/")
        yield Stack(
            directory=directory,
            functions=f"http://127.0.0.1:{functions}",
            pbx_control=f"http://127.0.0.1:{pbx_control}",
            exchange_control=f"http://127.0.0.1:{exchange_control}",
            entra_control=f"http://127.0.0.1:{entra_control}",
            environment=environment,
            master_key=key,
            sections=written,
            processes=processes,
        )


async def _start_storage(stack: AsyncExitStack, ports: tuple[int, int, int]) -> str:
    azurite = Azurite(*ports)
    try:
        await asyncio.to_thread(azurite.__enter__)
    except AzuriteError as error:
        raise RunError(str(error)) from error
    stack.push_async_callback(asyncio.to_thread, azurite.__exit__, None, None, None)
    return azurite.connection_string


async def _configure(environment: Environment, sections: Mapping[str, Mapping[str, object]]) -> None:
    """Make the tables and queues, and save these sections."""
    async with Storage.open(environment) as storage:
        await storage.create()
        store = ConfigStore(storage, Cipher(environment.encryption_keys))
        for name, values in sections.items():
            await store.save(name, parse_section(name, values), None, "make run", datetime.now(UTC))


@asynccontextmanager
async def _process(
    name: str, arguments: Sequence[str], log: Path, ready: str, environment: Mapping[str, str]
) -> AsyncIterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [sys.executable, *arguments],
            cwd=ROOT,
            env=os.environ | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Else an interrupt at the terminal would stop all at once, in no order.
            start_new_session=True,
        )
    try:
        await _wait_until_ready(name, process, ready, environment.get("DEV_HOST_MASTER_KEY", ""), log)
        yield process
    finally:
        await asyncio.to_thread(_end, process)


async def _wait_until_ready(
    name: str, process: subprocess.Popen[bytes], url: str, key: str, log: Path
) -> None:
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    async with httpx.AsyncClient(headers={"x-functions-key": key}) as client:
        while True:
            if process.poll() is not None:
                raise RunError(f"{name} ended at once: {_read_last_line(log)} (log: {log})")
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            if asyncio.get_running_loop().time() > deadline:
                raise RunError(f"{name} did not start within {START_SECONDS:.0f} s (log: {log}).")
            await asyncio.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value, indent=1), "utf-8")
    return path


def _read_last_line(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "without a word"
