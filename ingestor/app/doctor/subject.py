"""What is examined, and what the checks have learned so far."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingestor.api.proxy import Proxy
from ingestor.api.redaction import Redactor
from ingestor.api.tls import Security
from ingestor.app.options import BatchOptions
from ingestor.app.target import Target
from ingestor.model.reply import Reply
from ingestor.server.address import Address


@dataclass(frozen=True, slots=True)
class Setting:
    """An option that is set: its value, with a mask for a secret, and how it is written where it comes from."""

    value: object
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A set-up: settings, target and sources.

    Attributes:
        settings: the options that are set, by name.
        problems: what is wrong with the settings; then neither `options` nor `target` exist.
        warnings: doubts about the settings.
        options: how a batch is processed.
        target: where runs are created; None if `no_target` says why there is none.
        no_target: why there is no target.
        sources: the SOURCE arguments.
        follows: whether the run waits for more at their end; then they need not exist yet.
        files: the files that are written besides the state directory, by the option that names them.
        addresses: where this program listens, by option.
        tokens: files with the tokens that others must send there, by option.
        offline: whether nothing may be sent.
    """

    settings: Mapping[str, Setting] = field(default_factory=dict)
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    options: BatchOptions = field(default_factory=BatchOptions)
    target: Target | None = None
    no_target: Sequence[str] = ()
    sources: Sequence[str] = ()
    follows: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)
    addresses: Mapping[str, Address] = field(default_factory=dict)
    tokens: Mapping[str, Path] = field(default_factory=dict)
    offline: bool = False

    @property
    def known_target(self) -> Target:
        """The target, for checks that need one."""
        if self.target is None:
            raise LookupError("this check does not declare that it needs a target")
        return self.target


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one search.

    Attributes:
        reply: the answer, or why there is none.
        security: how TLS protected it; None without TLS.
    """

    reply: Reply
    security: Security | None


@dataclass(slots=True)
class Facts:
    """What checks have learned, for those that come after them.

    Attributes:
        has_credentials: whether the credentials can be used.
        proxy: the proxy in between.
        answer: the answer of the service.
        experiments: those that the first records name, each with the number of its records.
        redactor: knows every secret that was read.
    """

    has_credentials: bool = False
    proxy: Proxy | None = None
    answer: Answer | None = None
    experiments: Counter[str] = field(default_factory=Counter)
    redactor: Redactor = field(default_factory=Redactor)

    @property
    def known_answer(self) -> Answer:
        """The answer, for checks that need one."""
        if self.answer is None:
            raise LookupError("this check does not declare that it needs an answer")
        return self.answer
