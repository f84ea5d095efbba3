"""A local Azure Functions host, for those who do not have ``func``."""

from dev.host.configuration import HostError
from dev.host.host import FunctionsHost

__all__ = ["FunctionsHost", "HostError"]
