"""The function app: begins its telemetry and registers the blueprints, nothing else."""

import os

import azure.functions as func

from functions import administration, notifications, telemetry, timers, workers

telemetry.start(os.environ)

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
app.register_functions(administration.blueprint)
app.register_functions(notifications.blueprint)
app.register_functions(timers.blueprint)
app.register_functions(workers.blueprint)
