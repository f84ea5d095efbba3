"""The API, a file for each subject; ``/api/admin/v1/openapi.json`` describes it."""

from functions.admin.api import actions, configuration, description, identity, status, user, users

ROUTERS = (
    identity.router,
    status.router,
    configuration.router,
    actions.router,
    users.router,
    user.router,
    description.router,
)
