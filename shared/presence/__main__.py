"""Entry point of ``python -m shared.presence``."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

from shared.presence.command import run


def main() -> int:
    """Run the command on this process's streams; a reader that goes away ends it quietly."""
    try:
        return run(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer, lambda: datetime.now(UTC))
    except BrokenPipeError:
        # The interpreter flushes standard output once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
