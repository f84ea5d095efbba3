"""One line of JSON a log record, with the function and the invocation it belongs to."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

from aiohttp.http_exceptions import HttpProcessingError

logger = logging.getLogger("dev.host")

current_invocation: ContextVar[tuple[str, str] | None] = ContextVar("current_invocation", default=None)
"""Name of the function and id of the invocation that the running code belongs to."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest was given as ``extra``."""


class JsonLines(logging.Formatter):
    """Formats the host's records and those of user code alike."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if invocation := current_invocation.get():
            line["function"], line["invocation_id"] = invocation
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD and value != ""}
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
    logging.getLogger("aiohttp.server").addFilter(_tells_no_request)


def _tells_no_request(record: logging.LogRecord) -> bool:
    """False for a malformed request: the error quotes it, and it can hold secrets."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
