"""What the import of the function app takes of the processor, beside the libraries that it can't do without.

Both in fresh interpreters, in turns, the best of several. FastAPI must not be among the modules: it is loaded
with the first page. Run it with ``python -m tests.bench.imports``.
"""

from __future__ import annotations

import subprocess
import sys

TIMES = 25
RATIO = 1.2

LIBRARIES = (
    "asyncio",
    "azure.functions",
    "azure.data.tables.aio",
    "azure.identity.aio",
    "azure.storage.queue.aio",
    "aiohttp",
    "cryptography.fernet",
    "httpx",
    "lxml.etree",
    "msal",
    "pydantic.functional_validators",
    "pydantic.json_schema",
    "pydantic.main",
    "pydantic._internal._generate_schema",
    "spnego",
    "websockets.asyncio.client",
)
"""What the functions that run every minute need; pydantic loads its own parts with the first model."""

UNWANTED = ("fastapi", "starlette", "jinja2", "opentelemetry.sdk")

_PROGRAM = """
import sys
from time import process_time
began = process_time()
{imports}
print(process_time() - began, *sorted(sys.modules))
"""


def load(*names: str) -> tuple[float, set[str]]:
    """The processor seconds of importing these in a fresh interpreter, and all modules that were loaded."""
    program = _PROGRAM.format(imports="\n".join(f"import {name}" for name in names))
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    seconds, *modules = said.split()
    return float(seconds), set(modules)


def main() -> None:
    """Measure and print."""
    load("function_app")
    app, libraries = [], []
    modules: set[str] = set()
    for _ in range(TIMES):
        libraries.append(load(*LIBRARIES)[0])
        seconds, modules = load("function_app")
        app.append(seconds)
    ratio = min(app) / min(libraries)
    print(
        f"function_app: {min(app):.2f} s, its libraries: {min(libraries):.2f} s, ratio {ratio:.2f} "
        f"(at most {RATIO}); {len(modules)} modules"
    )
    found = [name for name in UNWANTED if name in modules]
    print(f"loaded without need: {', '.join(found) or 'nothing'}")


if __name__ == "__main__":
    main()
