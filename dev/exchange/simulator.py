"""The simulated Exchange: everything together, and the handles that tests and the control API hold."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from dev.exchange import control
from dev.exchange.appointments import Occurrence, shift_on_the_wall, write_instant, zone_named
from dev.exchange.autodiscover import Autodiscover
from dev.exchange.certificates import Certificates
from dev.exchange.clock import Clock, now_in_utc
from dev.exchange.faults import Fault, Script, read_fault
from dev.exchange.limits import Limits, read_limits
from dev.exchange.mailboxes import Directory, Mailbox, read_mailbox
from dev.exchange.push import Subscriptions
from dev.exchange.server import PATH, Endpoint
from dev.exchange.signin import ExtendedProtection, SignIn
from dev.exchange.statistics import Statistics


class ExchangeSimulator:
    """An Exchange server for one account, as an asynchronous context manager.

    ``user`` is ``DOMAIN\\user``; ``account_mailbox`` the address of its own mailbox, if any. ``minute`` is
    the length of a minute of push notifications in seconds. ``xsd_dir`` has every request checked against
    Microsoft's schemas too. Ports of 0 are chosen freely. ``clock`` gives an aware UTC datetime.
    """

    def __init__(
        self,
        *,
        user: str = "EXAMPLE\\calendar",
        password: str = "correct horse",
        account_mailbox: str | None = None,
        seed: Iterable[Mapping[str, Any]] = (),
        version: str = "15.2.1748.10",
        extended_protection: ExtendedProtection = "allow",
        subscription_limit: int = 5000,
        minute: float = 60.0,
        host: str = "localhost",
        port: int = 0,
        http_port: int = 0,
        control_port: int = 0,
        entra_control: str | None = None,
        xsd_dir: Path | None = None,
        clock: Clock = now_in_utc,
    ) -> None:
        self.user, self.password = user, password
        self.clock = clock
        self.statistics = Statistics()
        self.directory = Directory()
        self.script = Script()
        self.subscriptions = Subscriptions(clock, self.statistics, minute=minute, limit=subscription_limit)
        self._host, self._port, self._http_port, self._control_port = host, port, http_port, control_port
        self._certificates = Certificates(host)
        self.ca_pem, self.certificate_pem = self._certificates.ca_pem, self._certificates.pem
        self.sign_in = SignIn(
            user,
            password,
            self._certificates.known,
            self.statistics,
            extended_protection=extended_protection,
            entra_control=entra_control,
        )
        self.autodiscover = Autodiscover(self.directory, self.sign_in, self._certificates, version=version)
        self._endpoint = Endpoint(
            self.directory,
            self.subscriptions,
            self.script,
            self.sign_in,
            self.statistics,
            version=version,
            account_mailbox=account_mailbox,
            xsd_dir=xsd_dir,
        )
        self._runners: list[web.AppRunner] = []
        self.put_mailboxes(seed)

    async def __aenter__(self) -> Self:
        self.sign_in.open()
        await self.subscriptions.open()
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.router.add_route("*", PATH, self._endpoint.answer)
        application.router.add_route("*", "/{path:.*}", self.autodiscover.answer)
        self._port = await self._listen(application, self._host, self._port, self._certificates.context)
        self._http_port = await self._listen(self._http_application(), self._host, self._http_port, None)
        self._control_port = await self._listen(
            control.make_application(self), "127.0.0.1", self._control_port, None
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.subscriptions.close()
        for runner in self._runners:
            await runner.cleanup()
        self.sign_in.abort_connections()
        await asyncio.sleep(0)
        self._runners.clear()
        self.sign_in.close()

    async def _listen(
        self, application: web.Application, host: str, port: int, tls: ssl.SSLContext | None
    ) -> int:
        runner = web.AppRunner(
            application,
            access_log=None,
            keepalive_timeout=120,
            shutdown_timeout=0.1,
            handler_cancellation=True,
        )
        await runner.setup()
        self._runners.append(runner)
        # One address family, so that a free port is one port.
        site = web.TCPSite(runner, "127.0.0.1" if host == "localhost" else host, port, ssl_context=tls)
        await site.start()
        return int(runner.addresses[0][1])

    def _http_application(self) -> web.Application:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.autodiscover.answer)
        return application

    @property
    def ports(self) -> dict[str, int]:
        """The ports on which every host name of autodiscover is served, by scheme; EWS is on https too."""
        return {"https": self._port, "http": self._http_port}

    @property
    def ews_url(self) -> str:
        return f"https://{self._host}:{self._port}{PATH}"

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self._control_port}"

    def put_mailboxes(self, seeds: Iterable[Mapping[str, Any]]) -> None:
        """Add or replace mailboxes, all or none; nobody is notified.

        Raises ValueError with a sentence about what is wrong.
        """
        for mailbox in [read_mailbox(seed) for seed in seeds]:
            self.directory.put(mailbox)

    def remove_mailbox(self, address: str) -> None:
        """Take a mailbox and its subscriptions away. Raises KeyError."""
        mailbox = self.directory.named(address)
        self.subscriptions.lose(mailbox)
        self.directory.remove(mailbox)

    def expand(self, address: str, start: datetime, end: datetime) -> list[dict[str, Any]]:
        """The mailbox's calendar between two instants in order of start, as JSON. Raises KeyError."""
        mailbox = self.directory.named(address)
        entries = sorted(mailbox.expand(start, end), key=lambda entry: (entry.start, entry.reference))
        return [describe(mailbox, entry) for entry in entries]

    def add_appointment(self, address: str, **data: Any) -> dict[str, Any]:
        """Add an appointment or series as the owner would; subscribers are told. Returns it as JSON.

        Raises KeyError for an unknown mailbox and ValueError for data that is no appointment.
        """
        mailbox = self.directory.named(address)
        entry = mailbox.add(_as_json(data))
        self.subscriptions.notify("created", mailbox, entry)
        return describe(mailbox, entry)

    def change_appointment(self, address: str, reference: str, **data: Any) -> dict[str, Any]:
        """Change what ``data`` names; ``by`` (minutes or a timedelta) shifts. Raises KeyError, ValueError."""
        mailbox = self.directory.named(address)
        changes = dict(data)
        if (shift := changes.pop("by", None)) is not None:
            old = mailbox.find(reference)
            delta = shift if isinstance(shift, timedelta) else timedelta(minutes=float(shift))
            zone = zone_named(old.appointment.zone)
            if not old.appointment.all_day:
                changes |= {"start": old.start + delta, "end": old.end + delta}
            elif delta % timedelta(days=1):
                raise ValueError("by: an all-day appointment moves by whole days")
            else:
                changes["start"] = shift_on_the_wall(old.start, delta, zone)
        entry = mailbox.change(reference, _as_json(changes))
        self.subscriptions.notify("modified", mailbox, entry)
        return describe(mailbox, entry)

    def cancel_appointment(self, address: str, reference: str) -> dict[str, Any]:
        """Delete an appointment, a series or one occurrence (``NUMBER@DAY``). Raises KeyError."""
        mailbox = self.directory.named(address)
        entry = mailbox.cancel(reference)
        action = "modified" if "@" in reference else "deleted"
        self.subscriptions.notify(action, mailbox, entry)
        return describe(mailbox, entry)

    def add_fault(self, kind: str, **details: Any) -> Fault:
        """Script a fault (see dev.exchange.faults). Raises ValueError, for an unknown mailbox KeyError."""
        if details.get("mailbox"):
            details["mailbox"] = self.directory.named(details["mailbox"]).address
        return self.script.add(read_fault({"kind": kind, **details}))

    @property
    def limits(self) -> Limits:
        """How many requests may be under way."""
        return self._endpoint.limits

    def set_limits(self, **limits: Any) -> Limits:
        """Throttle from now on (see dev.exchange.limits); ``signal`` is a fault's data. Raises ValueError."""
        self._endpoint.limits = read_limits(limits)
        return self.limits

    def remove_faults(self) -> None:
        self.script.remove()

    def reset_statistics(self) -> None:
        """Begin to count anew."""
        self.statistics.reset()


def describe(mailbox: Mailbox, entry: Occurrence) -> dict[str, Any]:
    """An entry of a calendar as the control API gives it; ``item_id`` is its EWS Id."""
    appointment = entry.appointment
    return {
        "id": entry.reference,
        "item_id": mailbox.opaque_id(entry.reference),
        "uid": appointment.uid,
        "kind": entry.kind,
        "subject": appointment.subject,
        "start": write_instant(entry.start),
        "end": write_instant(entry.end),
        "all_day": appointment.all_day,
        "show_as": appointment.show_as,
        "sensitivity": appointment.sensitivity,
        "organizer": appointment.organizer,
        "organizer_name": appointment.organizer_name,
        "cancelled": appointment.cancelled,
        "response": appointment.response,
    }


def _as_json(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in data.items()}
