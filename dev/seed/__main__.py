"""Writes the seeds of both simulators: ``python -m dev.seed --pbx pbx.json --exchange exchange.json``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from dev.seed import create_seed


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and write the two files."""
    parser = argparse.ArgumentParser(prog="python -m dev.seed", description=__doc__)
    parser.add_argument("--users", type=int, default=25)
    parser.add_argument(
        "--now", type=datetime.fromisoformat, default=datetime.now(UTC), help="ISO, with offset"
    )
    parser.add_argument("--timezone", default="Europe/Berlin")
    parser.add_argument("--domain", default="example.com")
    parser.add_argument("--seed", type=int, default=1, help="another number, another company")
    parser.add_argument("--pbx", type=Path, required=True, help="file for the PBX's users")
    parser.add_argument("--exchange", type=Path, required=True, help="file for the mailboxes")
    options = parser.parse_args(arguments)
    if options.now.tzinfo is None:
        parser.error("--now: an offset is missing, as in 2026-03-02T09:00:00+01:00")
    seed = create_seed(
        options.users, now=options.now, timezone=options.timezone, domain=options.domain, seed=options.seed
    )
    for path, value in ((options.pbx, seed.pbx), (options.exchange, seed.exchange)):
        path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
