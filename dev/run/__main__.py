"""``make run``: the whole system on this machine, a table of the presences, and a line for each change."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from dev.run.lock import RunError, announce, check_ports, only_one
from dev.run.observer import Observer
from dev.run.stack import Ports, start_stack
from dev.seed import create_seed
from shared.settings import SyncType

LARGEST = 5000
DIRECTORY = Path(".run")
"""Under the checkout, where ``make calendar`` looks for what runs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C; returns the exit code."""
    options = parse_command(arguments)
    try:
        with only_one(options.directory):
            check_ports(Ports(options.port).purposes)
            return asyncio.run(run_until_stopped(options))
    except RunError as error:
        print(f"run: {error}", file=sys.stderr)
        return 1


def parse_command(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Exits with a usage message for a command line that makes no sense."""
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument(
        "--once", action="store_true", help="end after the first table; status 0 if it is right"
    )
    parser.add_argument("--port", type=int, default=7071, help="first of ten consecutive ports")
    parser.add_argument(
        "--directory", type=Path, default=DIRECTORY, help="for logs; one run at a time in each"
    )
    parser.add_argument("--users", type=int, default=25, help=f"1 to {LARGEST}")
    parser.add_argument(
        "--sync-type",
        type=SyncType,
        default=SyncType.ON_PREMISES,
        help="on-premises, cloud-app-only or cloud-delegated; the last is signed in on the page",
    )
    parser.add_argument(
        "--admin-sign-in", choices=("local", "entra"), default="local", help="of the page's administrators"
    )
    parser.add_argument(
        "--unconfigured", action="store_true", help="begin with nothing configured, and say what to enter"
    )
    options = parser.parse_args(arguments)
    if options.once and options.unconfigured:
        parser.error("--once: without a configuration there is no first table")
    if options.sync_type is SyncType.DISABLED:
        parser.error("--sync-type: nothing would happen")
    if not 1 <= options.users <= LARGEST:
        parser.error(f"--users: {options.users} is not between 1 and {LARGEST}")
    if not 1024 <= options.port <= 65_000:
        parser.error(f"--port: {options.port} is not between 1024 and 65000")
    return options


async def run_until_stopped(options: argparse.Namespace) -> int:
    """Run, and end in good order when the terminal or the system asks for it."""
    work = asyncio.ensure_future(run(options))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        return await work
    print("\nstopped")
    return 0


async def run(options: argparse.Namespace) -> int:
    """Start everything, synchronise, show; returns the exit code."""
    began = monotonic()

    def say(step: str, result: str) -> None:
        print(f"{monotonic() - began:5.1f} s  {step:<14} {result}", flush=True)

    seed = create_seed(options.users, now=datetime.now(UTC), at_work=True)
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            start_stack(
                options.directory,
                Ports(options.port),
                seed,
                say,
                options.sync_type,
                options.admin_sign_in,
                configured=not options.unconfigured,
            )
        )
        announce(
            options.directory,
            {
                "process": os.getpid(),
                "functions": running.functions,
                "pbx_control": running.pbx_control,
                "exchange_control": running.exchange_control,
                "entra_control": running.entra_control,
            },
        )
        if options.unconfigured:
            say("to do", f"configure on {running.functions}/configuration, with {running.sections}")
        if options.sync_type is SyncType.CLOUD_DELEGATED:
            say("to do", f"authenticate on {running.functions}/configuration/exchange")
        observer = await stack.enter_async_context(Observer(running))
        if not options.unconfigured:
            await running.replicate()
            right = await observer.await_first_table(say)
            if options.once:
                return 0 if right else 1
        print("\nChange a calendar in another terminal, for example:")
        print("  make calendar ARGS='add --user anna --in 2m --for 30m --subject \"Review\"'")
        print("  make calendar ARGS='list --user anna'")
        print(f"Logs are in {options.directory}/. Ctrl-C ends everything.\n", flush=True)
        await observer.follow()
    return 0


if __name__ == "__main__":
    sys.exit(main())
