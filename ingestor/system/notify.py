"""Messages to systemd from a service of `Type=notify`: sd_notify(3)."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

_MICROSECONDS = 1_000_000


class ServiceManager:
    """Sends messages to the socket of the service manager. A message that can't be sent is dropped.

    Attributes:
        watchdog: the seconds within which it wants to hear WATCHDOG=1 again; None if it does not.
    """

    def __init__(self, address: str, watchdog: float | None) -> None:
        self.watchdog = watchdog
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self | None:
        """Return the manager that the environment names (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID); None: none."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return None
        period = environment.get("WATCHDOG_USEC", "")
        is_ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return cls(address, int(period) / _MICROSECONDS if is_ours and period.isdecimal() and int(period) else None)

    def send(self, *messages: str) -> None:
        """Send messages, such as READY=1. Never waits."""
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.setblocking(False)
            end.sendto("\n".join(messages).encode(), self._address)
