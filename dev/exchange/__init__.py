"""A simulated Exchange server: EWS over HTTPS with NTLM, push notifications, and faults by the script.

It shares no code with the software that it is there to test.
"""

from dev.exchange.simulator import ExchangeSimulator

__all__ = ["ExchangeSimulator"]
