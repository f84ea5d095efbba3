"""``python -m dev.host --root DIR --port N``: until SIGTERM or SIGINT, logging lines of JSON."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from aiohttp.http_exceptions import HttpProcessingError

from dev.host import FunctionsHost, HostError
from dev.host.configuration import read_json
from dev.host.host import current_invocation

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""What every record has; the rest was given as ``extra``."""


class JsonLines(logging.Formatter):
    """One line a record of the host or of user code, with the invocation it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **(current_invocation.get() or {}),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging() -> None:
    """Everything from INFO up goes to standard error, but not what libraries say of each request."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("azure.core", "azure.functions"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # These errors quote a malformed request, and it can hold secrets.
    logging.getLogger("aiohttp.server").addFilter(
        lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
    )


async def run(root: Path, port: int) -> None:
    """Serve until a signal; a second one ends the process at once."""
    stopped = asyncio.Event()

    def stop() -> None:
        if stopped.is_set():
            os._exit(1)
        stopped.set()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop)
    async with FunctionsHost(root=root, port=port):
        await stopped.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.host", description="Run an Azure Functions app locally.")
    parser.add_argument(
        "--root", type=Path, default=Path(), help="directory of function_app.py and host.json"
    )
    parser.add_argument("--port", type=int, default=7071)
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    # Where func and Azure run the functions.
    if root.is_dir():
        os.chdir(root)
    configure_logging()
    try:
        if (settings := root / "local.settings.json").exists():
            for name, value in read_json(settings).get("Values", {}).items():
                os.environ.setdefault(name, value)
        asyncio.run(run(root, arguments.port))
    except HostError as error:
        print(f"dev.host: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
