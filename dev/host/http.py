"""The HTTP side: requests to functions, answers to responses, keys, and the administration endpoints.

Follows the Functions host's own conversion (Azure/azure-functions-host, GrpcMessageConversionExtensions.cs)
and Microsoft Learn, "Azure Functions HTTP trigger". Paths may hold secrets, so nothing here logs one.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from aiohttp import web

from dev.host.configuration import HostError
from dev.host.protos import Message, TypedData
from dev.host.routes import Route, match_route, parse_route
from dev.host.worker import Function, Result

FUNCTION_KEY = "DEV_HOST_FUNCTION_KEY"
MASTER_KEY = "DEV_HOST_MASTER_KEY"

_LIMIT = 100 * 1024 * 1024
"""The most bytes of a request's body."""

_NOT_COPIED = ("connection", "content-length", "transfer-encoding")


class HttpFrontend:
    """Routes requests to HTTP functions.

    ``start`` is told to begin a non-HTTP function with the text of an administrator's request.
    Raises HostError for a route that cannot be served.
    """

    def __init__(
        self,
        functions: Sequence[Function],
        prefix: str,
        settings: Mapping[str, str],
        invoke: Callable[[Function, TypedData], Awaitable[Result]],
        start: Callable[[Function, str], None],
    ) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._routes = [_route(function, prefix) for function in functions if function.kind == "httpTrigger"]
        self._keys = {
            "admin": [settings.get(MASTER_KEY, "")],
            "function": [settings.get(MASTER_KEY, ""), settings.get(FUNCTION_KEY, "")],
        }
        self._invoke = invoke
        self._start = start

    def application(self) -> web.Application:
        app = web.Application(client_max_size=_LIMIT)
        app.router.add_get("/admin/host/status", self._status)
        app.router.add_post("/admin/functions/{name}", self._order)
        app.router.add_route("*", "/{path:(?s:.*)}", self._serve)
        return app

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response({"state": "Running"})

    async def _order(self, request: web.Request) -> web.Response:
        if not self._authorized(request, "admin"):
            return web.Response(status=401)
        function = self._functions.get(request.match_info["name"].lower())
        if function is None or function.kind == "httpTrigger":
            return web.Response(status=404)
        try:
            self._start(function, str((await request.json())["input"]))
        except (ValueError, LookupError, TypeError):
            return web.Response(status=400)
        return web.Response(status=202)

    async def _serve(self, request: web.Request) -> web.Response:
        found = match_route(self._routes, request.method, request.rel_url.raw_path)
        if found is None:
            return web.Response(status=404)
        function = self._functions[found[0].name.lower()]
        if not self._authorized(request, str(function.trigger.get("authLevel") or "function").lower()):
            return web.Response(status=401)
        data = TypedData(http=_incoming(request, await request.read(), found[1]))
        return _outgoing(function, await self._invoke(function, data))

    def _authorized(self, request: web.Request, level: str) -> bool:
        if level == "anonymous":
            return True
        given = (request.headers.get("x-functions-key") or request.query.get("code", "")).encode()
        return any(key and hmac.compare_digest(key.encode(), given) for key in self._keys[level])


def _route(function: Function, prefix: str) -> Route:
    trigger = function.trigger
    template = "/".join(
        filter(None, (prefix.strip("/"), str(trigger.get("route") or function.name).strip("/")))
    )
    try:
        return parse_route(function.name, template, [str(method) for method in trigger.get("methods") or ()])
    except ValueError as error:
        raise HostError(f"The function {function.name} cannot be served: {error}.") from error


def _incoming(request: web.Request, body: bytes, params: Mapping[str, str]) -> Message:
    """The request as the worker gets it: lower-case names, repeated values joined, no empty parameter."""
    headers = {name.lower(): ",".join(request.headers.getall(name)) for name in request.headers}
    query = {name: ",".join(request.query.getall(name)) for name in request.query}
    return Message(
        method=request.method,
        url=f"{request.scheme}://{request.host}{request.rel_url.raw_path_qs}",
        headers=headers,
        params=params,
        query={name: value for name, value in query.items() if value},
        body=TypedData(bytes=body) if body else TypedData(),
    )


def _outgoing(function: Function, result: Result) -> web.Response:
    """The response of an invocation: 500 and no body where it failed, 204 where nothing was answered."""
    if result.error is not None:
        return web.Response(status=500)
    names = ["$return", *(output["name"] for output in function.outputs if output["type"] == "http")]
    answer = next((result.outputs[name] for name in names if name in result.outputs), None)
    if answer is None:
        return web.Response(status=204)
    if answer.kind != "http":
        return web.Response(body=_bytes(answer), headers={"Content-Type": "text/plain; charset=utf-8"})
    http = answer.value
    headers = {name: value for name, value in http.headers.items() if name.lower() not in _NOT_COPIED}
    response = web.Response(status=int(http.status_code), headers=headers, body=_bytes(http.body))
    for cookie in http.cookies or ():
        _set_cookie(response, cookie)
    return response


def _bytes(data: TypedData) -> bytes:
    value = data.value
    return value.encode() if isinstance(value, str) else bytes(value or b"")


def _set_cookie(response: web.Response, cookie: Message) -> None:
    """The host in Azure takes cookies apart and percent-encodes their values, as this does."""
    told: dict[str, Any] = {
        name: field and field.value for name, field in vars(cookie).items() if isinstance(field, Message)
    }
    expires, max_age = told.get("expires"), told.get("max_age")
    response.set_cookie(
        cookie.name,
        quote(cookie.value, safe=""),
        expires=expires and formatdate(expires.seconds, usegmt=True),
        max_age=None if max_age is None else int(max_age),
        domain=told.get("domain"),
        path=told.get("path") or "",
        secure=told.get("secure"),
        httponly=told.get("http_only"),
        samesite=cookie.same_site,
    )
