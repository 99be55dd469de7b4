"""Errors that end a batch. A job's failure is a value (`Result`), never one of these."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of the commands."""

    OK = 0
    """Every record is a complete run."""
    USAGE = 2
    """The command or its settings are wrong."""
    INCOMPLETE = 3
    """Finished, but some records were rejected, failed, partial or unresolved."""
    HALTED = 4
    """Credentials, address or service are wrong for every record."""
    STOPPED = 75
    """Stopped early and resumable (sysexits.h EX_TEMPFAIL)."""

    @property
    def next_step(self) -> str:
        """What to do after a batch that ended with this code; "" if the code alone does not say it."""
        return _NEXT_STEPS.get(self, "")


_NEXT_STEPS = {
    ExitCode.HALTED: "Fix this and run the same command again; finished records are not sent again.",
    ExitCode.STOPPED: "Run the same command again; it continues where this one stopped.",
}


class IngestorError(Exception):
    """An error that a person can act on: `str()` is one or two plain sentences, never a secret."""

    exit_code: ExitCode = ExitCode.HALTED


class UsageError(IngestorError):
    """The command line, the settings or a source can't be used as given."""

    exit_code = ExitCode.USAGE


class CredentialsError(IngestorError):
    """The credentials can't be loaded or refreshed."""


class JournalError(IngestorError):
    """The journal can't be opened, read or written; nothing is sent without it."""


class JournalVersionError(JournalError):
    """The journal has a version that this program can't use."""

    exit_code = ExitCode.USAGE


class JournalLostError(JournalError):
    """The journal was removed, renamed or replaced while it was open: what was written to it since is lost."""


class SpoolError(IngestorError):
    """Standard input can't be kept on disk, so it does not count as read; or accepted records can't be read from it."""


class StateInUseError(IngestorError):
    """Another process owns the state directory."""

    exit_code = ExitCode.STOPPED
