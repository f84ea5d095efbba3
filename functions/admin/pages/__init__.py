"""The pages, a file each. A new one is added to both lists."""

from functions.admin.pages import actions, entrance, status, user
from functions.admin.rendering import Destination

NAVIGATION = (
    Destination("/", "Status"),
    Destination("/actions", "Actions"),
)

ROUTERS = (entrance.router, status.router, actions.router, user.router)
