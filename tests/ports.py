"""Ports for servers that have to know theirs before they start."""

import random
import socket


def find_ports(count: int = 1) -> int:
    """The first of some consecutive ports that nobody listens on.

    Below those that systems give to whoever asks for any: one of these may be taken a moment later.
    """
    for _ in range(1000):
        first = random.randrange(10_000, 32_000)
        sockets = [socket.socket() for _ in range(count)]
        try:
            for number, attempt in enumerate(sockets):
                attempt.bind(("127.0.0.1", first + number))
        except OSError:
            continue
        finally:
            for attempt in sockets:
                attempt.close()
        return first
    raise AssertionError("no free ports")
