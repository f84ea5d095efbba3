"""``python -m dev.host --root DIR --port N [--settings FILE]``."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from dev.host import FunctionsHost, HostError
from dev.host.logs import configure_logging


async def run(root: Path, port: int, settings: Path | None) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        if stopped.is_set():
            os._exit(1)
        stopped.set()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop)
    async with FunctionsHost(root=root, port=port, local_settings=settings):
        await stopped.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.host", description="Run an Azure Functions app locally.")
    parser.add_argument(
        "--root", type=Path, default=Path(), help="directory of function_app.py and host.json"
    )
    parser.add_argument("--port", type=int, default=7071)
    parser.add_argument(
        "--settings", type=Path, help="default: local.settings.json of the root, if there is one"
    )
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    default = root / "local.settings.json"
    settings = arguments.settings or (default if default.exists() else None)
    settings = settings and settings.resolve()
    # Where func and Azure run the functions.
    if root.is_dir():
        os.chdir(root)
    configure_logging()
    try:
        asyncio.run(run(root, arguments.port, settings))
    except HostError as error:
        print(f"dev.host: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
