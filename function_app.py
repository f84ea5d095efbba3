"""The function app: registers the blueprints, nothing else."""

import azure.functions as func

from functions import administration, notifications, timers, workers

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
app.register_functions(administration.blueprint)
app.register_functions(notifications.blueprint)
app.register_functions(timers.blueprint)
app.register_functions(workers.blueprint)
