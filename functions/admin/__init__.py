"""The administration page and its API: an ASGI application that nothing else of the edge imports at start."""
