"""The HTTP side: requests to functions, answers to responses, keys, and the administration endpoints.

Follows the Functions host's own conversion (Azure/azure-functions-host, GrpcMessageConversionExtensions.cs)
and Microsoft Learn, "Azure Functions HTTP trigger". Paths may hold secrets, so nothing here logs one.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import formatdate
from urllib.parse import quote

from aiohttp import web
from multidict import CIMultiDict

from dev.host.configuration import HostError, HostOptions
from dev.host.protos import Message, TypedData
from dev.host.routes import Route, match_route, parse_route
from dev.host.worker import Function, Result

FUNCTION_KEY = "DEV_HOST_FUNCTION_KEY"
MASTER_KEY = "DEV_HOST_MASTER_KEY"

_NOT_COPIED = ("connection", "content-length", "transfer-encoding")

type Invoke = Callable[[Function, TypedData], Awaitable[Result]]


class HttpFrontend:
    """Routes requests to HTTP functions.

    ``start`` is told to begin a non-HTTP function with the text of an administrator's request.
    Raises HostError for a route that cannot be served.
    """

    def __init__(
        self,
        functions: Sequence[Function],
        options: HostOptions,
        settings: Mapping[str, str],
        invoke: Invoke,
        start: Callable[[Function, str], None],
    ) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._routes = [_route(function, options.route_prefix) for function in functions if is_http(function)]
        self._function_key = settings.get(FUNCTION_KEY, "")
        self._master_key = settings.get(MASTER_KEY, "")
        self._limit = options.body_limit
        self._invoke = invoke
        self._start = start

    def application(self) -> web.Application:
        app = web.Application(client_max_size=self._limit)
        app.router.add_get("/admin/host/status", self._status)
        app.router.add_post("/admin/functions/{name}", self._admin)
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response({"state": "Running"})

    async def _admin(self, request: web.Request) -> web.Response:
        if not self._authorized(request, "admin"):
            return web.Response(status=401)
        function = self._functions.get(request.match_info["name"].lower())
        if function is None:
            return web.Response(status=404)
        try:
            order = json.loads(await request.read())
        except ValueError:
            return web.Response(status=400)
        if is_http(function) or not isinstance(order, dict) or not isinstance(order.get("input", ""), str):
            return web.Response(status=400)
        self._start(function, order.get("input", ""))
        return web.Response(status=202)

    async def _serve(self, request: web.Request) -> web.Response:
        found = match_route(self._routes, request.method, request.rel_url.raw_path)
        if found is None:
            return web.Response(status=404)
        function = self._functions[found[0].name.lower()]
        if not self._authorized(request, _level(function)):
            return web.Response(status=401)
        if (request.content_length or 0) > self._limit:
            return web.Response(status=413)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413)
        result = await self._invoke(function, TypedData(http=_incoming(request, body, found[1])))
        return _outgoing(function, result)

    def _authorized(self, request: web.Request, level: str) -> bool:
        if level == "anonymous":
            return True
        text = request.headers.get("x-functions-key") or request.query.get("code", "")
        given = text.encode(errors="surrogateescape")
        keys = [self._master_key] + ([self._function_key] if level == "function" else [])
        return any(key and hmac.compare_digest(key.encode(), given) for key in keys)


def is_http(function: Function) -> bool:
    return bool(function.trigger["type"] == "httpTrigger")


def _level(function: Function) -> str:
    return str(function.trigger.get("authLevel") or "function").lower()


def _route(function: Function, prefix: str) -> Route:
    trigger = function.trigger
    template = "/".join(filter(None, (prefix, str(trigger.get("route") or function.name).strip("/"))))
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
    names = ["$return", *(output["name"] for output in function.outputs if output["type"] == "http")]
    answer = next((result.outputs[name] for name in names if name in result.outputs), None)
    if not result.ok:
        return web.Response(status=500)
    if answer is None:
        return web.Response(status=204)
    if answer.kind != "http":
        return web.Response(body=_bytes(answer), headers={"Content-Type": "text/plain; charset=utf-8"})
    http = answer.value
    headers = CIMultiDict(
        (name, value) for name, value in http.headers.items() if name.lower() not in _NOT_COPIED
    )
    for cookie in http.cookies or ():
        headers.add("Set-Cookie", _set_cookie(cookie))
    return web.Response(status=int(http.status_code), headers=headers, body=_bytes(http.body))


def _bytes(data: TypedData) -> bytes:
    value = data.value
    return value.encode() if isinstance(value, str) else bytes(value or b"")


def _set_cookie(cookie: Message) -> str:
    """The header as ASP.NET writes it: the host takes cookies apart, and percent-encodes the value."""
    parts = [f"{cookie.name}={quote(cookie.value, safe='')}"]
    if cookie.expires is not None:
        parts.append(f"expires={formatdate(cookie.expires.value.seconds, usegmt=True)}")
    if cookie.max_age is not None:
        parts.append(f"max-age={int(cookie.max_age.value)}")
    parts += [
        f"{label}={field.value}"
        for label, field in (("domain", cookie.domain), ("path", cookie.path))
        if field is not None and field.value
    ]
    if cookie.secure is not None and cookie.secure.value:
        parts.append("secure")
    if cookie.same_site is not None:
        parts.append(f"samesite={cookie.same_site}")
    if cookie.http_only is not None and cookie.http_only.value:
        parts.append("httponly")
    return "; ".join(parts)
