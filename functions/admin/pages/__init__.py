"""The pages, a file each. A new one is added to both lists."""

from functions.admin.pages import actions, configuration, entrance, status, user, users
from functions.admin.rendering import Destination

NAVIGATION = (
    Destination("/", "Status"),
    Destination("/users", "Users"),
    Destination("/configuration", "Configuration"),
    Destination("/actions", "Actions"),
)

ROUTERS = (entrance.router, status.router, configuration.router, actions.router, users.router, user.router)
