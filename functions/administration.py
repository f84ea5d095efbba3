"""What administrators' browsers and scripts trigger: the page and its API, behind one route."""

from __future__ import annotations

import asyncio
from http import HTTPMethod
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from weakref import WeakKeyDictionary

import azure.functions as func

from functions.services import services

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]

_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()


@blueprint.route(
    "{*path}",
    trigger_arg_name="request",
    methods=[str(method) for method in HTTPMethod if method not in (HTTPMethod.CONNECT, HTTPMethod.TRACE)],
    auth_level=func.AuthLevel.ANONYMOUS,
)
async def administration(request: func.HttpRequest) -> func.HttpResponse:
    """Whatever no other function has a route for; who may have what is decided in there."""
    try:
        # The middleware decodes the path, and would fail.
        path = unquote_to_bytes(urlsplit(request.url).path).decode()
    except ValueError:
        return func.HttpResponse(status_code=400)
    if path.startswith("/api/") and not path.startswith("/api/admin/"):
        # Another function's, asked wrongly: the secret in its address must not go on to a sign-in.
        return func.HttpResponse(status_code=404)
    loop = asyncio.get_running_loop()
    calendar = await services()
    if loop not in _of_loop:
        # Not before somebody asks: an instance that works for Exchange alone never needs it.
        from functions.admin.app import create_app

        # The page may be the first that anybody asks for, after an update that brought a table too.
        await calendar.storage.create()
        _of_loop[loop] = func.AsgiMiddleware(create_app(calendar))  # type: ignore[no-untyped-call]
    answer: func.HttpResponse = await _of_loop[loop].handle_async(request)
    await calendar.catch_up()
    return answer
