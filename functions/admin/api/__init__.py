"""The API, a file for each subject; ``/api/admin/v1/openapi.json`` describes it."""

from functions.admin.api import (
    actions,
    checks,
    configuration,
    description,
    exchange_sign_in,
    identity,
    recording,
    status,
    user,
    users,
)

ROUTERS = (
    identity.router,
    status.router,
    configuration.router,
    checks.router,
    exchange_sign_in.router,
    actions.router,
    users.router,
    user.router,
    recording.router,
    description.router,
)
