"""The table ``tokens``: the delegated sign-in with its tokens, and sign-ins begun; all encrypted."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from azure.core import MatchConditions

from shared.auth.sign_in import Access, Held, SignIn
from shared.cipher import Cipher
from shared.errors import StateConflict
from shared.state.storage import Storage, read_instant, write_instant

_LONGEST = 32 * 1024
"""Characters in one property of a record: the service's limit."""

_SIGN_IN = ("sign-in", "exchange")


class TokenStore:
    """One sign-in for all instances, replaced under its ETag."""

    def __init__(self, storage: Storage, cipher: Cipher) -> None:
        self._table = storage.table("tokens")
        self._cipher = cipher

    async def load(self) -> Held | None:
        """The sign-in. Raises SettingsError where no key decrypts it."""
        entity = await self._table.get(*_SIGN_IN)
        if entity is None:
            return None
        sign_in = _read(self._cipher.decrypt(_joined(entity)))
        return Held(sign_in, entity.metadata["etag"] or "", read_instant(entity["claimed_until"]))

    async def put(self, sign_in: SignIn) -> None:
        """Store a new sign-in, whatever is there."""
        while True:
            entity = await self._table.get(*_SIGN_IN)
            try:
                if entity is None:
                    await self._table.insert(self._record(sign_in, None))
                else:
                    await self._table.replace(self._record(sign_in, None), entity.metadata["etag"] or "")
            except StateConflict:
                continue
            return

    async def replace(self, held: Held, sign_in: SignIn, claimed_until: datetime | None = None) -> Held:
        """Store the sign-in in place of the one that was read. Raises StateConflict."""
        etag = await self._table.replace(self._record(sign_in, claimed_until), held.etag)
        return Held(sign_in, etag, claimed_until)

    async def delete(self) -> None:
        """Forget the sign-in."""
        await self._table.delete(*_SIGN_IN)

    async def keep_flow(self, state: str, flow: str, until: datetime, now: datetime) -> None:
        """Keep what a sign-in that has begun needs to be completed; forget those whose time is over."""
        old = f"PartitionKey eq 'flow' and until le '{write_instant(now)}'"
        async for entity in self._table.query(old, select=["PartitionKey", "RowKey"]):
            await self._table.delete(entity["PartitionKey"], entity["RowKey"])
        sealed = _pieces(self._cipher.encrypt(flow))
        await self._table.insert({**_keys(_flow(state)), "until": write_instant(until), **sealed})

    async def take_flow(self, state: str, now: datetime) -> str | None:
        """What was kept, to one caller only, or None where there is nothing or its time is over."""
        entity = await self._table.get(*_flow(state))
        if entity is None:
            return None
        unchanged = {"etag": entity.metadata["etag"], "match_condition": MatchConditions.IfNotModified}
        try:
            await self._table.transact([("delete", _keys(_flow(state)), unchanged)])
        except StateConflict:
            return None
        until = read_instant(entity["until"])
        return self._cipher.decrypt(_joined(entity)) if until and now < until else None

    def _record(self, sign_in: SignIn, claimed_until: datetime | None) -> dict[str, str]:
        # Encryption is salted: every ETag differs, also where nothing else does.
        sealed = _pieces(self._cipher.encrypt(_written(sign_in)))
        return {**_keys(_SIGN_IN), "claimed_until": write_instant(claimed_until), **sealed}


def _flow(state: str) -> tuple[str, str]:
    """The keys of a flow. The state comes from outside: its hash is always a good key."""
    return "flow", hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()


def _keys(keys: tuple[str, str]) -> dict[str, str]:
    return {"PartitionKey": keys[0], "RowKey": keys[1]}


def _pieces(text: str) -> dict[str, str]:
    return {f"sealed{at // _LONGEST:02}": text[at : at + _LONGEST] for at in range(0, len(text), _LONGEST)}


def _joined(entity: dict[str, Any]) -> str:
    return "".join(entity[name] for name in sorted(entity) if name.startswith("sealed"))


def _written(sign_in: SignIn) -> str:
    return json.dumps(
        {
            "account": sign_in.account,
            "signed_in_at": write_instant(sign_in.signed_in_at),
            "renewed_at": write_instant(sign_in.renewed_at),
            "access": sign_in.access and [sign_in.access.token, write_instant(sign_in.access.ends)],
            "cache": sign_in.cache,
            "refused": sign_in.refused,
        }
    )


def _read(text: str) -> SignIn:
    values = json.loads(text)
    access = values["access"]
    return SignIn(
        values["account"],
        datetime.fromisoformat(values["signed_in_at"]),
        datetime.fromisoformat(values["renewed_at"]),
        Access(access[0], datetime.fromisoformat(access[1])) if access else None,
        values["cache"],
        values["refused"],
    )
