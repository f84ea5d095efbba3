"""A simulated Microsoft Entra ID over TLS: it signs applications and accounts in, with faults on demand."""

from dev.entra.directory import Account, Application, Directory, Secret, Tenant
from dev.entra.faults import Fault
from dev.entra.keys import InvalidToken, SigningKey, claims_of
from dev.entra.simulator import EntraSimulator

__all__ = [
    "Account",
    "Application",
    "Directory",
    "EntraSimulator",
    "Fault",
    "InvalidToken",
    "Secret",
    "SigningKey",
    "Tenant",
    "claims_of",
]
