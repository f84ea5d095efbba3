"""``/EWS/Exchange.asmx``: one HTTP request from sign-in to answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web
from lxml import etree

from dev.exchange.faults import Fault, Script
from dev.exchange.folders import find_folders, get_folder, sync_folder_hierarchy
from dev.exchange.items import convert_ids, find_item, get_item
from dev.exchange.limits import Limits, Pauses
from dev.exchange.mailboxes import Directory, Mailbox
from dev.exchange.names import resolve_names
from dev.exchange.push import Subscriptions
from dev.exchange.schema import read_request
from dev.exchange.signin import SignIn, unauthorized
from dev.exchange.soap import MessageError, Request, ServerFault, failure, write_fault, write_response
from dev.exchange.statistics import Statistics
from dev.exchange.xsd import load_schema

PATH = "/EWS/Exchange.asmx"
COOKIE = "X-BackEndCookie"
LOGIN_PAGE = (
    "<!DOCTYPE html><html><head><title>Sign in</title></head>"
    '<body><form method="post" action="/auth"><input name="user"></form></body></html>'
)
BUSY_PAGE = (
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN""http://www.w3.org/TR/html4/strict.dtd">'
    "<HTML><HEAD><TITLE>Error</TITLE></HEAD><BODY><h2>Error</h2><hr><p>HTTP Error {0}.</p></BODY></HTML>"
)

Operation = Callable[[etree._Element, Mailbox | None, Directory], list[str]]


class Endpoint:
    """Answers EWS requests. ``account_mailbox`` is the own mailbox of the account that signs in, if any."""

    def __init__(
        self,
        directory: Directory,
        subscriptions: Subscriptions,
        script: Script,
        sign_in: SignIn,
        statistics: Statistics,
        *,
        version: str,
        account_mailbox: str | None,
        xsd_dir: Path | None,
    ) -> None:
        self._directory = directory
        self._script = script
        self._sign_in = sign_in
        self._statistics = statistics
        self._version = version
        self._account_mailbox = account_mailbox
        self._pauses = Pauses()
        self.limits = Limits()
        self._schema = load_schema(xsd_dir) if xsd_dir else None
        self._concurrent: Counter[str] = Counter()
        self._operations: dict[str, Operation] = {
            "FindItem": find_item,
            "GetItem": get_item,
            "ConvertId": convert_ids,
            "GetFolder": get_folder,
            "FindFolder": find_folders,
            "SyncFolderHierarchy": sync_folder_hierarchy,
            "ResolveNames": resolve_names,
            "Subscribe": subscriptions.subscribe,
            "Unsubscribe": subscriptions.unsubscribe,
        }

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The handler for every method on the path."""
        self._statistics.requests += 1
        content = await request.read()
        if fault := self._script.strike_unread():
            return await self._replace(request, fault, "")
        if refusal := await self._sign_in.refuse(request):
            return refusal
        if request.method != "POST":
            return web.Response(text="<html><body>Service</body></html>", content_type="text/html")
        if request.content_type != "text/xml":
            return web.Response(status=415, reason="The content type was not the expected type 'text/xml'.")
        try:
            parsed = read_request(content)
            if self._schema is not None:
                self._check_schema(parsed)
        except ServerFault as fault_:
            return self._fault(fault_)
        return await self._answer_read(request, parsed)

    async def _answer_read(self, request: web.Request, parsed: Request) -> web.StreamResponse:
        address = parsed.identity[1].lower() if parsed.identity else None
        self._statistics.operations[parsed.operation] += 1
        self._statistics.premature += self._pauses.is_on()
        if address:
            self._statistics.mailboxes[address] += 1
            self._statistics.missing_anchors += "X-AnchorMailbox" not in request.headers
        with self._occupy(address):
            if signal := self.limits.judge(self._concurrent, address):
                return await self._replace(request, signal, parsed.operation)
            replacement = None
            for fault in self._script.strike(address, parsed.operation):
                if fault.kind == "delay":
                    self._statistics.faults["delay"] += 1
                    await asyncio.sleep(fault.seconds)
                else:
                    replacement = fault
            if replacement and replacement.kind not in ("broken", "illegal"):
                return await self._replace(request, replacement, parsed.operation)
            try:
                caller = self._identify(parsed)
                messages = self._operations[parsed.operation](parsed.body, caller, self._directory)
            except ServerFault as fault_:
                return self._fault(fault_)
            text = write_response(parsed.operation, messages, self._version)
            if replacement:
                text = self._spoil(text, replacement)
            return self._envelope(request, text, caller if address else None)

    @contextmanager
    def _occupy(self, address: str | None) -> Iterator[None]:
        """Count requests that are under way, in all and for a mailbox."""
        names = ("", address) if address else ("",)
        self._concurrent.update(names)
        statistics = self._statistics
        statistics.max_concurrent = max(statistics.max_concurrent, self._concurrent[""])
        if address:
            most = max(statistics.max_concurrent_of_one_mailbox, self._concurrent[address])
            statistics.max_concurrent_of_one_mailbox = most
        try:
            yield
        finally:
            for name in names:
                self._concurrent[name] -= 1
                if not self._concurrent[name]:
                    del self._concurrent[name]

    def _identify(self, parsed: Request) -> Mailbox | None:
        """Whose eyes the request looks through. Raises ServerFault for someone who can't be impersonated."""
        if parsed.identity is None:
            return self._directory.with_primary(self._account_mailbox) if self._account_mailbox else None
        kind, address = parsed.identity
        mailbox = self._directory.with_primary(address)
        if mailbox is None and kind == "SmtpAddress":
            found = [
                m
                for m in self._directory.with_prefix(address)
                if address.lower() in map(str.lower, m.addresses)
            ]
            mailbox = found[0] if found else None
        if mailbox is None or mailbox.type != "Mailbox":
            raise ServerFault("ErrorNonExistentMailbox")
        if mailbox.impersonation_denied:
            raise ServerFault("ErrorImpersonateUserDenied")
        return mailbox

    def _envelope(self, request: web.Request, text: str, mailbox: Mailbox | None) -> web.Response:
        for code in _error_codes(text):
            self._statistics.codes[code] += 1
        response = web.Response(body=text.encode(), content_type="text/xml", charset="utf-8")
        if mailbox:
            # Exchange pins a client to its mailbox's server; with another's cookie it goes astray.
            pinned = request.cookies.get(COOKIE)
            self._statistics.foreign_cookies += pinned is not None and pinned != mailbox.guid.hex
            response.set_cookie(COOKIE, mailbox.guid.hex, path="/EWS", secure=True, httponly=True)
        return response

    def _fault(self, fault: ServerFault) -> web.Response:
        self._statistics.codes[fault.code] += 1
        body = write_fault(fault).encode()
        return web.Response(status=500, body=body, content_type="text/xml", charset="utf-8")

    async def _replace(self, request: web.Request, fault: Fault, operation: str) -> web.StreamResponse:
        """What a scripted fault answers in place of Exchange."""
        self._statistics.faults[fault.kind] += 1
        self._pauses.note(fault)
        if fault.kind == "status":
            if fault.status == 401:
                return unauthorized()
            headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
            page = BUSY_PAGE.format(fault.status)
            return web.Response(status=fault.status, text=page, content_type="text/html", headers=headers)
        if fault.kind == "login_page":
            return web.Response(text=LOGIN_PAGE, content_type="text/html")
        if fault.kind == "soap":
            values = {} if fault.back_off is None else {"BackOffMilliseconds": str(fault.back_off)}
            return self._fault(ServerFault(fault.code, values=values))
        if fault.kind == "response":
            inner = {"InnerErrorResponseCode": fault.inner_code} if fault.inner_code else {}
            message = failure(
                operation, MessageError(fault.code, values=inner), content=_EMPTY.get(operation, "")
            )
            return self._envelope(request, write_response(operation, [message], self._version), None)
        if fault.kind == "hang":
            await asyncio.sleep(3600)
        if request.transport:
            request.transport.abort()
        return web.Response(status=500)

    def _spoil(self, text: str, fault: Fault) -> str:
        self._statistics.faults[fault.kind] += 1
        if fault.kind == "broken":
            return text[: len(text) // 2]
        for end in ("</t:Subject>", "</m:MessageText>", "</t:Name>"):
            text = text.replace(end, f"&#x1F;&#x0B;{end}")
        return text

    def _check_schema(self, parsed: Request) -> None:
        """Against Microsoft's schemas, for tests."""
        assert self._schema is not None
        if not self._schema.validate(parsed.body):
            raise ServerFault(
                "ErrorSchemaValidation", f"The request failed schema validation: {self._schema.error_log}"
            )


# The schema requires these even in an error.
_EMPTY = {"GetItem": "<m:Items/>", "GetFolder": "<m:Folders/>"}


def _error_codes(text: str) -> list[str]:
    return [
        part.partition("<")[0]
        for part in text.split("<m:ResponseCode>")[1:]
        if not part.startswith("NoError<")
    ]
