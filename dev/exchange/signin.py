"""NTLM sign-in, which holds for a TCP connection and for no other, and bearer tokens of a simulated Entra ID.

Published source: MS-NLMP, MS-NTHT (NTLM over HTTP), RFC 5929 (tls-server-end-point).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from weakref import WeakKeyDictionary

import spnego
from aiohttp import ClientSession, web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from multidict import CIMultiDict

from dev.exchange.statistics import Statistics

ExtendedProtection = Literal["off", "allow", "require"]
_SCHEMES = ("NTLM", "Negotiate")
_NO_BINDING = bytes(16)


class _Connection:
    """How far one TCP connection has come."""

    def __init__(self) -> None:
        self.context: spnego.ContextProxy | None = None
        self.user = ""


class SignIn:
    """Signs connections in with one account's user (``DOMAIN\\user`` or ``user@domain``) and password.

    ``extended_protection`` says whether a channel binding to one of ``certificates`` is ignored, checked
    where the client sends one, or required. ``entra_control`` is the address of the controls of a simulated
    Entra ID, whose access tokens let in too.
    """

    def __init__(
        self,
        user: str,
        password: str,
        certificates: Iterable[x509.Certificate],
        statistics: Statistics,
        *,
        extended_protection: ExtendedProtection = "allow",
        entra_control: str | None = None,
    ) -> None:
        self._entra_control = entra_control
        self._extended_protection = extended_protection
        self._statistics = statistics
        self._connections: WeakKeyDictionary[asyncio.Transport, _Connection] = WeakKeyDictionary()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.bind(certificates)
        self.set_account(user, password)

    def bind(self, certificates: Iterable[x509.Certificate]) -> None:
        """Accept channel bindings to these certificates and to no others."""
        self._bindings = {channel_binding(certificate) for certificate in certificates}

    def set_account(self, user: str, password: str) -> None:
        """Replace the account, as a change of password does. Signed-in connections stay so.

        Raises ValueError for a user or password with a colon, which the account file can't hold.
        """
        if ":" in user + password:
            raise ValueError("user and password: the simulator can't tell them apart with a colon in them")
        domain, _, name = user.rpartition("\\")
        self._account = f"{domain}:{name}:{password}\n"
        if self._folder:
            self._write_account(self._folder.name)

    def open(self) -> None:
        """Write the account file, which exists until close."""
        self._folder = tempfile.TemporaryDirectory(prefix="exchange-")
        self._write_account(self._folder.name)

    def close(self) -> None:
        if self._folder:
            self._folder.cleanup()
            self._folder = None

    def _write_account(self, folder: str) -> None:
        self._accounts = Path(folder) / "accounts"
        self._accounts.touch(mode=0o600)
        self._accounts.write_text(self._account)

    async def _may_read(self, token: str) -> bool:
        wish = {"token": token, "audience": "https://outlook.office365.com"}
        async with (
            ClientSession() as client,
            client.post(f"{self._entra_control}/verify", json=wish) as answer,
        ):
            claims = await answer.json() if answer.ok else {}
        return "full_access_as_app" in claims.get("roles", ()) or "EWS.AccessAsUser.All" in claims.get(
            "scp", ""
        )

    def abort_connections(self) -> None:
        """Cut off clients that have not said goodbye; TLS would wait for them."""
        for transport in list(self._connections):
            transport.abort()

    async def refuse(self, request: web.Request) -> web.Response | None:
        """The 401 that an unauthenticated request gets, or None where its connection is signed in."""
        assert request.transport is not None
        connection = self._connections.get(request.transport)
        if connection is None:
            connection = self._connections[request.transport] = _Connection()
            self._statistics.connections += 1
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer" and self._entra_control:
            return None if await self._may_read(token) else unauthorized()
        if scheme not in _SCHEMES:
            return None if connection.user else unauthorized()
        try:
            answer = self._step(connection, scheme, base64.b64decode(token, validate=True))
        except (spnego.exceptions.SpnegoError, ValueError, struct.error):
            self._statistics.refused_sign_ins += 1
            connection.context, connection.user = None, ""
            return unauthorized()
        if answer is None:
            return None
        self._statistics.challenges += 1
        return unauthorized(f"{scheme} {base64.b64encode(answer).decode()}")

    def _step(self, connection: _Connection, scheme: str, token: bytes) -> bytes | None:
        """A challenge, or None once signed in. Raises SpnegoError, ValueError and struct.error."""
        with self._account_file():
            if connection.context is None or connection.user:
                connection.user = ""
                protocol = "ntlm" if token.startswith(b"NTLMSSP\0") else "negotiate"
                if protocol == "negotiate" and scheme == "NTLM":
                    raise ValueError("NTLM without an NTLM token")
                connection.context = spnego.server(
                    protocol=protocol,
                    options=spnego.NegotiateOptions.use_negotiate
                    if protocol == "negotiate"
                    else spnego.NegotiateOptions.use_ntlm,
                )
            answer = connection.context.step(token)
        if not connection.context.complete:
            return answer
        self._check_binding(token)
        connection.user = connection.context.client_principal or "?"
        connection.context = None
        self._statistics.sign_ins += 1
        return None

    def _check_binding(self, token: bytes) -> None:
        """Raises ValueError for a channel binding that is wrong, or missing where one is required."""
        sent = sent_channel_binding(token[token.index(b"NTLMSSP\0") :])
        if self._extended_protection == "off" or sent in self._bindings:
            return
        if sent != _NO_BINDING or self._extended_protection == "require":
            raise ValueError("channel binding")

    @contextmanager
    def _account_file(self) -> Iterator[None]:
        """pyspnego's NTLM acceptor takes its accounts from the file that this environment variable names."""
        before = os.environ.get("NTLM_USER_FILE")
        os.environ["NTLM_USER_FILE"] = str(self._accounts)
        try:
            yield
        finally:
            if before is None:
                del os.environ["NTLM_USER_FILE"]
            else:
                os.environ["NTLM_USER_FILE"] = before


def unauthorized(challenge: str = "") -> web.Response:
    """HTTP 401 as IIS writes it: with a challenge, or with the schemes that it offers."""
    headers = CIMultiDict([("WWW-Authenticate", word) for word in ([challenge] if challenge else _SCHEMES)])
    return web.Response(status=401, headers=headers)


def channel_binding(certificate: x509.Certificate) -> bytes:
    """The MD5 of the GSS channel binding structure for a server's certificate (RFC 5929, MS-NLMP)."""
    algorithm = certificate.signature_hash_algorithm
    name = algorithm.name if algorithm and algorithm.name not in ("md5", "sha1") else "sha256"
    digest = hashlib.new(name, certificate.public_bytes(Encoding.DER)).digest()
    data = b"tls-server-end-point:" + digest
    return hashlib.md5(bytes(16) + struct.pack("<I", len(data)) + data, usedforsecurity=False).digest()


def sent_channel_binding(authenticate: bytes) -> bytes:
    """The channel binding in an NTLM AUTHENTICATE message, all zeros where there is none.

    The client's proof covers it, so it can't be forged. Raises struct.error for a truncated message.
    """
    length, _, offset = struct.unpack_from("<HHI", authenticate, 20)
    pairs = authenticate[offset + 44 : offset + length]
    while len(pairs) >= 4:
        kind, size = struct.unpack_from("<HH", pairs)
        if kind == 10:
            return pairs[4 : 4 + size]
        if kind == 0:
            break
        pairs = pairs[4 + size :]
    return _NO_BINDING
