"""The pages, a file each. A new one is added to both lists."""

from functions.admin.pages import actions, configuration, entrance, status, user
from functions.admin.rendering import Destination

NAVIGATION = (
    Destination("/", "Status"),
    Destination("/configuration", "Configuration"),
    Destination("/actions", "Actions"),
)

ROUTERS = (entrance.router, status.router, configuration.router, actions.router, user.router)
