"""The innovaphone PBX: what is said over its websocket API, and the session that says it."""
