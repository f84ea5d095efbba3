"""The function app: begins its telemetry and registers the blueprints, nothing else."""

import gc
import os

import azure.functions as func

# What is imported stays. Looking for garbage meanwhile finds none, and is a tenth of the start.
gc.disable()
try:
    from functions import administration, notifications, telemetry, timers, workers
finally:
    gc.freeze()
    gc.enable()

telemetry.start(os.environ)

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
app.register_functions(administration.blueprint)
app.register_functions(notifications.blueprint)
app.register_functions(timers.blueprint)
app.register_functions(workers.blueprint)
