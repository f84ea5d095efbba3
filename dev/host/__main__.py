"""``python -m dev.host --root DIR --port N``."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from dev.host import FunctionsHost, HostError
from dev.host.configuration import read_local_settings
from dev.host.logs import configure_logging


async def run(root: Path, port: int) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        if stopped.is_set():
            os._exit(1)
        stopped.set()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop)
    async with FunctionsHost(root=root, port=port):
        await stopped.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.host", description="Run an Azure Functions app locally.")
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(),
        help="directory of function_app.py, host.json, local.settings.json",
    )
    parser.add_argument("--port", type=int, default=7071)
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    # Where func and Azure run the functions.
    if root.is_dir():
        os.chdir(root)
    configure_logging()
    try:
        for name, value in read_local_settings(root / "local.settings.json").items():
            os.environ.setdefault(name, value)
        asyncio.run(run(root, arguments.port))
    except HostError as error:
        print(f"dev.host: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
