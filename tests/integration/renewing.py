"""One instance of the service that needs a token: run as a process, beside others."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta

from shared.auth.delegated import DelegatedTokens
from shared.auth.entra import Registration
from shared.cipher import Cipher
from shared.environment import Environment
from shared.ews.transport import tls_context
from shared.state.storage import Storage
from shared.state.tokens import TokenStore


async def renew(order: dict[str, str]) -> None:
    """Say that we are ready, wait for a line, then get a token in an hour's time and show it."""
    environment = Environment.read(json.loads(order["environment"]))
    registration = Registration(order["client_id"], order["tenant"], "secret", authority=order["authority"])
    async with Storage.open(environment) as storage:
        store = TokenStore(storage, Cipher(environment.encryption_keys))
        tokens = DelegatedTokens(
            registration, tls_context(order["ca"]), store, now=lambda: datetime.now(UTC) + timedelta(hours=1)
        )
        await tokens.state()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        print(await tokens.token(), flush=True)
        await tokens.aclose()


if __name__ == "__main__":
    asyncio.run(renew(json.loads(sys.argv[1])))
