"""One line of JSON a log record, with the function and the invocation it belongs to."""

import json
import logging
from datetime import UTC, datetime

from dev.host.worker import current_invocation

_FIELDS = ("function", "invocation_id", "trigger", "duration_ms", "outcome", "detail")


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
        line |= {name: getattr(record, name) for name in _FIELDS if getattr(record, name, "") != ""}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging() -> None:
    """Everything from INFO up goes to standard error, but not what libraries say of each request."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name, level in (
        ("azure.core", logging.WARNING),
        ("azure.functions", logging.WARNING),
        # It would log the addresses of malformed requests, which can hold secrets.
        ("aiohttp.server", logging.CRITICAL),
    ):
        logging.getLogger(name).setLevel(level)
