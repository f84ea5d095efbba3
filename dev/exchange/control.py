"""The control API: plain HTTP and JSON on the loopback interface, for tests and commands, not for clients.

    GET    /mailboxes                                  all addresses, names, types
    PUT    /mailboxes                                  {"mailboxes": [SEED…]}: adds or replaces, all or none
    GET    /mailboxes/WHO                              the seed
    PUT    /mailboxes/WHO                              SEED; its address is the one in the path
    DELETE /mailboxes/WHO
    GET    /mailboxes/WHO/appointments?start=…&end=…   expanded, in order of start
    POST   /mailboxes/WHO/appointments                 APPOINTMENT: adds
    PATCH  /mailboxes/WHO/appointments/ID              changes what it names; "by": minutes shifts
    DELETE /mailboxes/WHO/appointments/ID              deletes; NUMBER@DAY deletes one occurrence
    GET    /faults    POST /faults    DELETE /faults    DELETE /faults/ID
    GET    /subscriptions[?mailbox=WHO]
    DELETE /subscriptions[?mailbox=WHO]                forgotten, as by a restart
    POST   /subscriptions/heartbeat[?mailbox=WHO]      a StatusEvent now
    POST   /subscriptions/error[?mailbox=WHO&code=…]   an error notification, after which they are gone
    GET    /autodiscover                               the sites, and what was asked of them
    PUT    /autodiscover                               {"sites": [SITE…]}: replaces all, or none
    GET    /limits      PUT    /limits                 {"total": …, "per_mailbox": …, "signal": FAULT}
    GET    /statistics   DELETE /statistics            DELETE begins anew
    PUT    /account                                    {"user": …, "password": …}

WHO is an address, an alias, or the local part of one. What is wrong is said in {"error": …} with 400 or 404.
README.md has the seeds, appointments, faults and sites.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from dev.exchange.appointments import read_instant
from dev.exchange.mailboxes import Mailbox, write_mailbox

if TYPE_CHECKING:
    from dev.exchange.simulator import ExchangeSimulator

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def say_what_is_wrong(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as JSON."""
    try:
        return await handler(request)
    except KeyError as error:
        return web.json_response({"error": f"not found: {error.args[0]}"}, status=404)
    except (ValueError, TypeError, AttributeError) as error:
        return web.json_response({"error": str(error)}, status=400)


def make_application(exchange: ExchangeSimulator) -> web.Application:
    """The control API of one simulator."""
    api = _Api(exchange)
    application = web.Application(middlewares=[say_what_is_wrong], client_max_size=256 * 1024 * 1024)
    application.add_routes(
        [
            web.get("/mailboxes", api.list_mailboxes),
            web.put("/mailboxes", api.put_mailboxes),
            web.get("/mailboxes/{who}", api.get_mailbox),
            web.put("/mailboxes/{who}", api.put_mailbox),
            web.delete("/mailboxes/{who}", api.delete_mailbox),
            web.get("/mailboxes/{who}/appointments", api.list_appointments),
            web.post("/mailboxes/{who}/appointments", api.add_appointment),
            web.patch("/mailboxes/{who}/appointments/{id}", api.change_appointment),
            web.delete("/mailboxes/{who}/appointments/{id}", api.cancel_appointment),
            web.get("/faults", api.list_faults),
            web.post("/faults", api.add_fault),
            web.delete("/faults", api.remove_faults),
            web.delete("/faults/{id}", api.remove_faults),
            web.get("/subscriptions", api.list_subscriptions),
            web.delete("/subscriptions", api.lose_subscriptions),
            web.post("/subscriptions/heartbeat", api.send_heartbeats),
            web.post("/subscriptions/error", api.send_errors),
            web.get("/autodiscover", api.get_sites),
            web.put("/autodiscover", api.put_sites),
            web.get("/limits", api.get_limits),
            web.put("/limits", api.put_limits),
            web.get("/statistics", api.get_statistics),
            web.delete("/statistics", api.reset_statistics),
            web.put("/account", api.set_account),
        ]
    )
    return application


class _Api:
    def __init__(self, exchange: ExchangeSimulator) -> None:
        self._exchange = exchange

    def _mailbox(self, request: web.Request) -> Mailbox | None:
        who = request.query.get("mailbox")
        return self._exchange.directory.named(who) if who else None

    async def list_mailboxes(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "mailboxes": [
                    {
                        "address": m.address,
                        "aliases": list(m.aliases),
                        "name": m.name,
                        "type": m.type,
                        "zone": m.zone,
                    }
                    for m in self._exchange.directory
                ]
            }
        )

    async def put_mailboxes(self, request: web.Request) -> web.Response:
        seeds = (await request.json())["mailboxes"]
        self._exchange.put_mailboxes(seeds)
        return web.json_response({"count": len(seeds)})

    async def get_mailbox(self, request: web.Request) -> web.Response:
        return web.json_response(write_mailbox(self._exchange.directory.named(request.match_info["who"])))

    async def put_mailbox(self, request: web.Request) -> web.Response:
        address = request.match_info["who"]
        self._exchange.put_mailboxes([{**await request.json(), "address": address}])
        return web.json_response(write_mailbox(self._exchange.directory.named(address)))

    async def delete_mailbox(self, request: web.Request) -> web.Response:
        self._exchange.remove_mailbox(request.match_info["who"])
        return web.Response(status=204)

    async def list_appointments(self, request: web.Request) -> web.Response:
        who = request.match_info["who"]
        zone = self._exchange.directory.named(who).zone
        start, end = (read_instant(request.query.get(name, ""), zone) for name in ("start", "end"))
        return web.json_response({"appointments": self._exchange.expand(who, start, end)})

    async def add_appointment(self, request: web.Request) -> web.Response:
        data: dict[str, Any] = await request.json()
        added = self._exchange.add_appointment(request.match_info["who"], **data)
        return web.json_response(added, status=201)

    async def change_appointment(self, request: web.Request) -> web.Response:
        who, reference = request.match_info["who"], request.match_info["id"]
        data: dict[str, Any] = await request.json()
        return web.json_response(self._exchange.change_appointment(who, reference, **data))

    async def cancel_appointment(self, request: web.Request) -> web.Response:
        who, reference = request.match_info["who"], request.match_info["id"]
        return web.json_response(self._exchange.cancel_appointment(who, reference))

    async def list_faults(self, request: web.Request) -> web.Response:
        return web.json_response({"faults": [fault.write() for fault in self._exchange.script]})

    async def add_fault(self, request: web.Request) -> web.Response:
        data: dict[str, Any] = await request.json()
        return web.json_response(self._exchange.add_fault(data.pop("kind", ""), **data).write(), status=201)

    async def remove_faults(self, request: web.Request) -> web.Response:
        number = request.match_info.get("id")
        count = self._exchange.script.remove(int(number) if number else None)
        return web.json_response({"count": count})

    async def list_subscriptions(self, request: web.Request) -> web.Response:
        mailbox = self._mailbox(request)
        chosen = self._exchange.subscriptions.of(mailbox) if mailbox else self._exchange.subscriptions
        return web.json_response({"subscriptions": [subscription.write() for subscription in chosen]})

    async def lose_subscriptions(self, request: web.Request) -> web.Response:
        return web.json_response({"count": self._exchange.subscriptions.lose(self._mailbox(request))})

    async def send_heartbeats(self, request: web.Request) -> web.Response:
        count = self._exchange.subscriptions.send_heartbeats(self._mailbox(request))
        return web.json_response({"count": count})

    async def send_errors(self, request: web.Request) -> web.Response:
        code = request.query.get("code", "ErrorReadEventsFailed")
        return web.json_response(
            {"count": self._exchange.subscriptions.send_errors(code, self._mailbox(request))}
        )

    async def get_sites(self, request: web.Request) -> web.Response:
        autodiscover = self._exchange.autodiscover
        return web.json_response(
            {
                "sites": [site.write() for site in autodiscover.sites],
                "asked": [asdict(asked) for asked in autodiscover.asked],
            }
        )

    async def put_sites(self, request: web.Request) -> web.Response:
        sites = (await request.json())["sites"]
        self._exchange.autodiscover.publish(sites)
        return web.json_response({"count": len(sites)})

    async def get_limits(self, request: web.Request) -> web.Response:
        return web.json_response(self._exchange.limits.write())

    async def put_limits(self, request: web.Request) -> web.Response:
        data: dict[str, Any] = await request.json()
        return web.json_response(self._exchange.set_limits(**data).write())

    async def get_statistics(self, request: web.Request) -> web.Response:
        return web.json_response(self._exchange.statistics.write())

    async def reset_statistics(self, request: web.Request) -> web.Response:
        self._exchange.reset_statistics()
        return web.Response(status=204)

    async def set_account(self, request: web.Request) -> web.Response:
        data = await request.json()
        self._exchange.sign_in.set_account(data["user"], data["password"])
        return web.Response(status=204)
