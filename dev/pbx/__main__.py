"""The simulated PBX as a process: one line when it is ready, and a clean end on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Sequence
from pathlib import Path

from dev.pbx.phone import Viewer
from dev.pbx.simulator import PbxSimulator


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m dev.pbx", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of the websocket (TLS); 0: a free one")
    parser.add_argument("--control-port", type=int, default=0, help="of the controls (HTTP); 0: a free one")
    parser.add_argument("--pbx-name", default="master")
    parser.add_argument("--domain", default="example.com", help="the PBX's system name")
    parser.add_argument("--app", default="calendarsync", help="name of the app object")
    parser.add_argument("--password", default="secret", help="of the app object")
    parser.add_argument("--ca-file", type=Path, help="where to write the certificate authority, as PEM")
    parser.add_argument("--seed", type=Path, help='JSON: {"users": [{"h323": "anna", …}, …]}')
    parser.add_argument("--display", choices=("raw", "sentence"), default="raw", help="how notes are shown")
    parser.add_argument("--language", choices=("en", "de"), default="en", help="of the displays")
    parser.add_argument("--timezone", default="Europe/Berlin", help="of the displays")
    return parser.parse_args(arguments)


async def run(options: argparse.Namespace) -> None:
    """Run the PBX until a signal ends it."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    seed = json.loads(options.seed.read_text("utf-8")) if options.seed else {"users": []}
    viewer = Viewer(options.language, options.timezone) if options.display == "sentence" else None
    pbx = PbxSimulator(
        name=options.pbx_name,
        domain=options.domain,
        app=options.app,
        password=options.password,
        users=seed["users"],
        viewer=viewer,
        port=options.port,
        control_port=options.control_port,
    )
    if options.ca_file:
        options.ca_file.write_text(pbx.ca_pem)
    async with pbx:
        print(
            f"PBX {options.pbx_name}: {len(pbx.users)} users, {pbx.url}, controls {pbx.control_url}",
            flush=True,
        )
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(run(read_arguments()))
