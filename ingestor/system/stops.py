"""The signals that a command takes. It imports little, so that a signal that arrives early finds a handler."""

import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType, MappingProxyType

STOPS: Mapping[signal.Signals, str] = MappingProxyType(
    {
        signal.SIGINT: "Ctrl-C",
        signal.SIGTERM: "SIGTERM",
        signal.SIGHUP: "SIGHUP",  # the terminal or the ssh session was closed
        signal.SIGXCPU: "SIGXCPU, the limit of processor time",
    }
)
"""The signals that stop a batch, each with its name in messages."""

REOPENS_LOG = signal.SIGUSR2
"""The signal after which the log is opened anew, under its name."""

SHOWS_STATUS = frozenset(getattr(signal, name) for name in ("SIGUSR1", "SIGINFO") if hasattr(signal, name))
"""The signals after which a status line is printed. SIGINFO (Ctrl-T) exists on BSD and macOS."""

STOPS_NOTHING = frozenset({REOPENS_LOG, *SHOWS_STATUS})
"""The signals that end nothing: where nobody waits for them, they are ignored."""

Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None
"""What Python calls on a signal."""


def hold_stops() -> None:
    """Let stop signals wait until `release_stops`: they are delivered then."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)


def release_stops() -> None:
    """Deliver the stop signals that wait, and those that come."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def taken_signals() -> dict[signal.Signals, Handler]:
    """Return the signals that a command takes, with their present handlers.

    A stop signal that is ignored (nohup, a shell's `&`) stays ignored. Only the main thread can handle signals: in
    another one there are none.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {number: signal.getsignal(number) for number in (*STOPS, *STOPS_NOTHING)}
    return {it: handler for it, handler in handlers.items() if it not in STOPS or handler is not signal.SIG_IGN}
