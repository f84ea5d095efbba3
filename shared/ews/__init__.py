"""Exchange Web Services: messages (pure: bytes in, values out) and the client that carries them."""
