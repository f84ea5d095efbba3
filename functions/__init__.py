"""The edge: what triggers the service, a few lines a function. All else is in `shared`."""

import logging

# They log every request with its address, and addresses can hold secrets.
for _library in ("azure", "httpx", "httpcore", "websockets"):
    logging.getLogger(_library).setLevel(logging.WARNING)
