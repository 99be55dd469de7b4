"""The commands: each reads its options and calls its module in `app`, which is imported only then."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import takewhile
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import BaseModel

from ingestor.app.messages import warn
from ingestor.app.options import BatchOptions
from ingestor.cli.command import Command, epilog
from ingestor.cli.flags import Parser
from ingestor.cli.target import target_for_sending
from ingestor.model.errors import ExitCode, UsageError
from ingestor.settings.commands import (
    CheckOptions,
    ConfigOptions,
    DoctorOptions,
    ForgetOptions,
    Format,
    ResultsOptions,
    SimulateOptions,
    StatusOptions,
)
from ingestor.settings.load import Loaded, from_flags, load
from ingestor.settings.options import Settings
from ingestor.settings.report_commands import PruneOptions, ReportOptions
from ingestor.settings.rules import TARGETS
from ingestor.settings.values import Output
from ingestor.system.stops import release_stops

if TYPE_CHECKING:
    from ingestor.app.observing.observer import Observer
    from ingestor.app.target import Target
    from ingestor.app.terminal import Terminal

_OWN_OPTIONS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        "check": CheckOptions,
        "config": ConfigOptions,
        "doctor": DoctorOptions,
        "forget": ForgetOptions,
        "prune": PruneOptions,
        "report": ReportOptions,
        "results": ResultsOptions,
        "simulate": SimulateOptions,
        "status": StatusOptions,
    }
)
"""The options that only one command has."""


@dataclass(frozen=True, slots=True)
class Call:
    """A command line: the options of this command alone, the settings and the file with settings, and the arguments."""

    own: Mapping[str, object]
    settings: Mapping[str, object]
    config: str | None
    arguments: Sequence[str]

    def load(self, *, sending: bool = False) -> Loaded:
        """Return the settings in effect, after a warning for each doubt. Raises UsageError (see `settings.load`)."""
        loaded = load(self.settings, self.config, sending=sending)
        for warning in loaded.warnings:
            warn(warning)
        return loaded


def own_options(name: str) -> type[BaseModel] | None:
    """Return the options that only this command has; None if it has none."""
    return _OWN_OPTIONS.get(name)


def perform(command: Command, argv: Sequence[str]) -> int:
    """Run one command and return its exit code. Raises IngestorError."""
    parser = parser_of(command)
    if not {"-h", "--help"}.isdisjoint(takewhile(lambda word: word != "--", argv)):
        sys.stdout.write(parser.format_help())
        return ExitCode.OK
    line = parser.read(argv)
    if "" in line.arguments:
        raise UsageError("an empty name: name a file or a directory. An empty variable of a shell may be the cause")
    own_model = own_options(command.name)
    names = {} if own_model is None else own_model.model_fields
    own = {name: value for name, value in line.options.items() if name in names}
    settings = {name: value for name, value in line.options.items() if name not in names}
    return _COMMANDS[command.name](Call(own, settings, line.config, line.arguments))


def parser_of(command: Command) -> Parser:
    """Return the parser for the options of a command."""
    parser = Parser(command.name, command.arguments, command.text, epilog(command))
    if (own := own_options(command.name)) is not None:
        parser.add_options(own)
    if own is not SimulateOptions:
        parser.add_options(Settings, command.settings, command.defaults)
    parser.add_common(config=own is not SimulateOptions)
    return parser


def _run(call: Call) -> int:
    return _send(call, _run_batch)


def _resume(call: Call) -> int:
    return _send(call, _resume_batch)


def _reconcile(call: Call) -> int:
    return _send(call, _reconcile_batches)


def _send(call: Call, work: "Callable[[Call, Loaded, Sequence[Observer]], int]") -> int:
    """Return the exit code of a command that sends, after it is in the metrics file, if there is one."""
    loaded = call.load(sending=True)
    if not loaded.settings.follow:
        release_stops()
    path = loaded.settings.metrics_file
    if path is None:
        return work(call, loaded, ())
    from ingestor.app.observing.metrics_file import MetricsFile

    file = MetricsFile(path, options_of(loaded.settings))
    return file.conclude(lambda: work(call, loaded, [file.observe]))


def _run_batch(call: Call, loaded: Loaded, observers: "Sequence[Observer]") -> int:
    target, options, terminal = _batch(loaded.settings, observers)
    from ingestor.app.on_done import OnDone
    from ingestor.app.run import run

    accepting = None
    if loaded.settings.accept is not None:
        from ingestor.cli.accepting import accepting_of

        accepting = accepting_of(loaded.settings.accept, loaded)
    settings = loaded.settings
    on_done = OnDone.parse(settings.on_done, age=settings.on_done_age)
    return run(target, options, call.arguments, terminal, spool=settings.spool, accepting=accepting, on_done=on_done)


def _resume_batch(_call: Call, loaded: Loaded, observers: "Sequence[Observer]") -> int:
    target, options, terminal = _batch(loaded.settings, observers)
    from ingestor.app.resume import resume

    return resume(target, options, terminal, is_named=_named_batch(loaded) is not None)


def _reconcile_batches(_call: Call, loaded: Loaded, observers: "Sequence[Observer]") -> int:
    target, options, terminal = _batch(loaded.settings, observers)
    from ingestor.app.run import reconcile

    return reconcile(target, options, _named_batch(loaded), terminal)


def _batch(settings: Settings, observers: "Sequence[Observer]") -> "tuple[Target, BatchOptions, Terminal]":
    """Return what a command that sends needs. Raises UsageError and LimitError."""
    from ingestor.app.limits import most_in_flight
    from ingestor.app.sending import Sending

    target, options = target_for_sending(settings), options_of(settings)
    allowed = Sending(target, options).bounds.slots
    if allowed < most_in_flight(options):
        warn(f"the limit of open files (ulimit -n) allows only {allowed:,} requests in flight")
    return target, options, terminal_of(settings, observers)


def _check(call: Call) -> int:
    from ingestor.app.limits import NEEDED, require_files

    online = from_flags(CheckOptions, call.own).online
    loaded = call.load(sending=online)
    require_files(NEEDED)
    settings, options = loaded.settings, options_of(loaded.settings)
    as_json, progress = settings.output is Output.JSON, settings.progress
    if online:
        from ingestor.app.online import check_online

        return check_online(target_for_sending(settings), options, call.arguments, as_json=as_json, progress=progress)
    from ingestor.app.check import check

    if any(name in loaded.given for name in TARGETS):
        from ingestor.cli.config import warn_of_the_target

        warn_of_the_target(loaded)
    return check(options, call.arguments, as_json=as_json, progress=progress)


def _status(call: Call) -> int:
    own, settings = from_flags(StatusOptions, call.own), call.load().settings
    as_json = settings.output is Output.JSON
    if own.watch:
        from ingestor.app.watch import watch

        return watch(settings.state, as_json=as_json)
    from ingestor.app.inspect import status

    return status(settings.state, as_json=as_json)


def _results(call: Call) -> int:
    own, loaded = from_flags(ResultsOptions, call.own), call.load()
    from ingestor.app.inspect import results

    outcome = None if own.outcome is None else str(own.outcome)
    as_csv = own.format is Format.CSV
    return results(loaded.settings.state, outcome=outcome, batch=_named_batch(loaded), as_csv=as_csv)


def _forget(call: Call) -> int:
    own, loaded = from_flags(ForgetOptions, call.own), call.load()
    from ingestor.cli.forget import forget

    return forget(own, loaded.settings, _named_batch(loaded))


def _report(call: Call) -> int:
    own, loaded = from_flags(ReportOptions, call.own), call.load()
    from ingestor.cli.report import report

    return report(own, loaded.settings, _named_batch(loaded))


def _prune(call: Call) -> int:
    own, loaded = from_flags(PruneOptions, call.own), call.load()
    from ingestor.cli.prune import prune_journal

    return prune_journal(own, loaded.settings, _named_batch(loaded))


def _simulate(call: Call) -> int:
    options = from_flags(SimulateOptions, call.own)
    from ingestor.cli.simulate import simulate

    return simulate(options)


def _config(call: Call) -> int:
    own = from_flags(ConfigOptions, call.own)
    from ingestor.cli.config import config, init

    return init(call.settings, call.config) if own.init else config(call.load())


def _completion(call: Call) -> int:
    from ingestor.cli.completion import completion

    return completion(call.arguments)


def _doctor(call: Call) -> int:
    own = from_flags(DoctorOptions, call.own)
    from ingestor.cli.doctor import doctor

    return doctor(own, call.settings, call.config, call.arguments)


_COMMANDS: Mapping[str, Callable[[Call], int]] = MappingProxyType(
    {
        "run": _run,
        "check": _check,
        "status": _status,
        "results": _results,
        "reconcile": _reconcile,
        "resume": _resume,
        "forget": _forget,
        "report": _report,
        "prune": _prune,
        "simulate": _simulate,
        "config": _config,
        "doctor": _doctor,
        "completion": _completion,
    }
)


def _named_batch(loaded: Loaded) -> str | None:
    return loaded.settings.batch if "batch" in loaded.given else None


def options_of(settings: Settings) -> BatchOptions:
    """Return how the batch is processed. Every option has the name of its setting."""
    return BatchOptions(**{field.name: getattr(settings, field.name) for field in fields(BatchOptions)})


def terminal_of(settings: Settings, observers: "Sequence[Observer]" = ()) -> "Terminal":
    """Return what the command prints, and what watches it: `observers`, and those of the settings."""
    from ingestor.app.terminal import Terminal
    from ingestor.cli.observers import observers_of

    return Terminal(
        json=settings.output is Output.JSON,
        progress=settings.progress,
        quiet=settings.quiet,
        observers=[*observers_of(settings), *observers],
    )
