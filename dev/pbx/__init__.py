"""A simulated innovaphone PBX: the app websocket over TLS, with faults on demand."""

from dev.pbx.digest import digest_login
from dev.pbx.phone import Viewer
from dev.pbx.presences import Change, Contact
from dev.pbx.simulator import PbxSimulator
from dev.pbx.switchboard import Phone

__all__ = ["Change", "Contact", "PbxSimulator", "Phone", "Viewer", "digest_login"]
