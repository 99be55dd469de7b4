"""What watches a session of the command line, by its settings and its environment."""

import os
from collections.abc import Iterator

from ingestor.app.observing.observer import Observer
from ingestor.settings.options import Settings


def observers_of(settings: Settings) -> list[Observer]:
    """Return the observers of a session. Those that listen are first: they answer before anything else is opened."""
    from ingestor.app.observing.termination import writing_termination_message
    from ingestor.system.notify import ServiceManager

    observers = [*_listening(settings), writing_termination_message()]
    if (manager := ServiceManager.of(os.environ)) is not None:
        from ingestor.app.observing.service_manager import notifying

        observers.append(notifying(manager))
    return observers


def _listening(settings: Settings) -> Iterator[Observer]:
    if settings.listen is not None:
        from ingestor.app.observing.listening import listening
        from ingestor.server.address import tcp_address

        names = frozenset(settings.listen_name.split(",")) if settings.listen_name else frozenset()
        address, is_chosen = tcp_address(settings.listen), not settings.listen.endswith(":0")
        quiet = settings.quiet and is_chosen  # else nobody would know the port
        yield listening(address, names=names, token_file=settings.listen_token_file, quiet=quiet)
