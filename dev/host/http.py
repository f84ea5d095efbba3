"""HTTP triggers: routes and keys, requests to functions, and answers to responses.

Follows the Functions host's own conversion (Azure/azure-functions-host, GrpcMessageConversionExtensions.cs)
and Microsoft Learn, "Azure Functions HTTP trigger". Paths may hold secrets, so nothing here logs one.
"""

import os
import re
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from functools import partial
from urllib.parse import quote

from aiohttp import web

from dev.host.configuration import HostError
from dev.host.worker import Function, Message, Outputs, TypedData

type Invoke = Callable[[Function, TypedData], Awaitable[Outputs | None]]

KEYS = {
    "function": ("DEV_HOST_FUNCTION_KEY", "DEV_HOST_MASTER_KEY"),
    "admin": ("DEV_HOST_MASTER_KEY",),
}
"""The settings with the keys that open an authorization level."""


def add_routes(app: web.Application, functions: Sequence[Function], prefix: str, invoke: Invoke) -> None:
    """Lead requests to HTTP functions, by the most specific route. Raises HostError."""
    http = [function for function in functions if function.trigger["type"] == "httpTrigger"]
    routes = [(_path(function, prefix), function) for function in http]
    for path, function in sorted(routes, key=lambda route: (":" in route[0], route[0].count("{"))):
        for method in function.trigger.get("methods") or ["*"]:
            app.router.add_route(method, path, partial(_serve, function, invoke))


def is_authorized(request: web.Request, level: str) -> bool:
    given = request.headers.get("x-functions-key") or request.query.get("code")
    return level == "anonymous" or bool(given and given in map(os.environ.get, KEYS[level]))


def _path(function: Function, prefix: str) -> str:
    """The route template as aiohttp writes it; parameters with constraints or defaults are refused."""
    template = f"{prefix}/{function.trigger.get('route') or function.name}".strip("/")
    if re.search("[{}]", re.sub(r"\{\*{0,2}\w+\}", "", template)):
        raise HostError(f"The route '{template}' of {function.name} is not understood.")
    return "/" + re.sub(r"\{\*+(\w+)\}", r"{\1:(?s:.*)}", template)


async def _serve(function: Function, invoke: Invoke, request: web.Request) -> web.Response:
    if not is_authorized(request, function.trigger["authLevel"].lower()):
        return web.Response(status=401)
    return _outgoing(await invoke(function, TypedData(http=await _incoming(request))))


async def _incoming(request: web.Request) -> Message:
    """The request as the worker gets it: lower-case names, repeated values joined, no empty parameter."""
    body = await request.read()
    query = {name: ",".join(request.query.getall(name)) for name in request.query}
    return Message(
        method=request.method,
        url=f"{request.scheme}://{request.host}{request.rel_url.raw_path_qs}",
        headers={name.lower(): ",".join(request.headers.getall(name)) for name in request.headers},
        params={name: value for name, value in request.match_info.items() if value},
        query={name: value for name, value in query.items() if value},
        body=TypedData(bytes=body) if body else TypedData(),
    )


def _outgoing(outputs: Outputs | None) -> web.Response:
    """The response of an invocation: 500 and no body where it failed, 204 where nothing was answered."""
    if outputs is None:
        return web.Response(status=500)
    if "$return" not in outputs:
        return web.Response(status=204)
    answer = outputs["$return"].value
    if isinstance(answer, str):
        return web.Response(text=answer)
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
    response = web.Response(status=int(answer.status_code), headers=headers, body=answer.body.value)
    for cookie in answer.cookies or ():
        response.set_cookie(
            cookie.name,
            # The host in Azure percent-encodes values, too.
            quote(cookie.value, safe=""),
            expires=cookie.expires and formatdate(cookie.expires.seconds, usegmt=True),
            max_age=None if cookie.max_age is None else int(cookie.max_age),
            domain=cookie.domain,
            path=cookie.path or "",
            secure=cookie.secure,
            httponly=cookie.http_only,
            samesite=cookie.same_site,
        )
    return response
