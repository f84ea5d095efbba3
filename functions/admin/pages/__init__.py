"""The pages, a file each. A new one is added to both lists."""

from functions.admin.pages import (
    actions,
    authentication,
    configuration,
    connection,
    debugging,
    entrance,
    status,
    user,
    users,
)
from functions.admin.rendering import Destination

NAVIGATION = (
    Destination("/", "Status"),
    Destination("/users", "Users"),
    Destination("/configuration", "Configuration"),
    Destination("/debugging", "Debugging"),
    Destination("/actions", "Actions"),
)

ROUTERS = (
    entrance.router,
    status.router,
    # These two before the sections of the configuration, whose addresses take any name.
    connection.router,
    authentication.router,
    configuration.router,
    actions.router,
    users.router,
    user.router,
    debugging.router,
)
