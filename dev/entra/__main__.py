"""The simulated Entra ID as a process: one line when it is ready, and a clean end on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Sequence
from pathlib import Path

from dev.entra.directory import Directory
from dev.entra.simulator import EntraSimulator


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m dev.entra", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of the sign-in (TLS); 0: a free one")
    parser.add_argument("--control-port", type=int, default=0, help="of the controls (HTTP); 0: a free one")
    parser.add_argument("--ca-file", type=Path, help="where to write the certificate authority, as PEM")
    parser.add_argument(
        "--seed", type=Path, help='JSON: {"tenants": […], "applications": […], "accounts": […]}'
    )
    return parser.parse_args(arguments)


async def run(options: argparse.Namespace) -> None:
    """Run Entra ID until a signal ends it."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    seed = Directory.read(json.loads(options.seed.read_text("utf-8"))) if options.seed else None
    entra = EntraSimulator(seed, port=options.port, control_port=options.control_port)
    if options.ca_file:
        options.ca_file.write_text(entra.ca_pem)
    async with entra:
        print(
            f"Entra ID: {len(entra.directory.applications)} applications, {len(entra.directory.accounts)} "
            f"accounts, {entra.url}, controls {entra.control_url}",
            flush=True,
        )
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(run(read_arguments()))
