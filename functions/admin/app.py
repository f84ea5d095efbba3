"""The application: its gate, its pages and its API, put together for one event loop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from cryptography.fernet import Fernet
from fastapi import FastAPI

from functions.admin import api, assets, pages, problems
from functions.admin.assets import Assets
from functions.admin.bearer import BearerTokens
from functions.admin.gate import Gate
from functions.admin.rendering import Renderer
from functions.admin.session import Sessions
from functions.admin.sign_in import SignIn
from functions.services import Services
from functions.services import now as utc_now
from shared.auth.clouds import Cloud
from shared.ews.transport import tls_context

ROUTERS = (assets.router, *pages.ROUTERS, *api.ROUTERS)


def create_app(calendar: Services, now: Callable[[], datetime] = utc_now) -> Gate:
    """The ASGI application over the service's stores and use cases."""
    environment = calendar.environment
    administration = environment.administration
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    # Without keys only this process, on this machine, has to know the sessions again.
    sessions = Sessions(administration.session_keys or (Fernet.generate_key().decode(),))
    files = Assets()
    sign_in, bearer = None, None
    if administration.client_id and not administration.local:
        base, tls = environment.authority or Cloud.WORLDWIDE.authority, tls_context()
        redirect_uri = f"{environment.callback_url}/signed-in"
        sign_in = SignIn(administration, base, redirect_uri, tls, environment.client_id)
        bearer = BearerTokens(base, administration.tenant_id, administration.client_id, tls)
    gate = Gate(app, calendar, sessions, bearer, now)
    app.state.calendar = calendar
    app.state.sessions = sessions
    app.state.sign_in = sign_in
    app.state.assets = files
    app.state.now = now
    app.state.gate = gate
    app.state.renderer = Renderer(calendar, sessions, files, pages.NAVIGATION)
    for router in ROUTERS:
        app.include_router(router)
    problems.register(app)
    return gate
