"""``python -m dev.exchange``: the simulated Exchange as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from dev.exchange.simulator import ExchangeSimulator


async def serve(arguments: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT. Prints one line when ready."""
    seed = json.loads(arguments.seed.read_text())["mailboxes"] if arguments.seed else []
    exchange = ExchangeSimulator(
        user=arguments.user,
        password=arguments.password,
        account_mailbox=arguments.account_mailbox,
        seed=seed,
        version=arguments.version,
        extended_protection=arguments.extended_protection,
        minute=arguments.minute,
        port=arguments.port,
        http_port=arguments.http_port,
        control_port=arguments.control_port,
        entra_control=arguments.entra_control,
    )
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    arguments.ca_file.write_bytes(exchange.ca_pem)
    async with exchange:
        print(f"exchange ready: {exchange.ews_url} control {exchange.control_url}", flush=True)
        await stopped.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.exchange", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="HTTPS port of EWS (0: any free)")
    parser.add_argument("--http-port", type=int, default=0, help="port of plain HTTP (0: any free)")
    parser.add_argument("--control-port", type=int, default=0, help="port of the control API (0: any free)")
    parser.add_argument("--user", default="EXAMPLE\\calendar", help="account that may sign in")
    parser.add_argument("--password", required=True)
    parser.add_argument("--entra-control", help="controls of an Entra ID whose tokens sign in too")
    parser.add_argument("--account-mailbox", help="address of the account's own mailbox")
    parser.add_argument("--ca-file", type=Path, required=True, help="where to write the authority's PEM")
    parser.add_argument("--seed", type=Path, help='JSON file: {"mailboxes": […]}')
    parser.add_argument("--version", default="15.2.1748.10", help="what ServerVersionInfo says")
    parser.add_argument("--minute", type=float, default=60.0, help="length of a push minute in seconds")
    parser.add_argument("--extended-protection", choices=("off", "allow", "require"), default="allow")
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments))
    except (ValueError, OSError) as error:
        print(f"exchange: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
