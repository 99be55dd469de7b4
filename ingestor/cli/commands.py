"""The commands: each reads its options and calls its module in `app`, which is imported only then."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from itertools import takewhile
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import BaseModel

from ingestor.app.options import BatchOptions
from ingestor.cli.flags import Parser
from ingestor.cli.pages import Command, epilog
from ingestor.cli.proxy import json_row, table_row
from ingestor.cli.target import problems_before_a_request, target_of
from ingestor.model.errors import ExitCode
from ingestor.model.text import WHOLE, printable
from ingestor.settings.commands import (
    CheckOptions,
    ConfigOptions,
    ForgetOptions,
    Format,
    ResultsOptions,
    SimulateOptions,
)
from ingestor.settings.load import TARGETS, Loaded, Place, from_flags, load
from ingestor.settings.options import Settings, option_of
from ingestor.settings.values import Output
from ingestor.settings.wording import shown

if TYPE_CHECKING:
    from ingestor.app.terminal import Terminal
    from ingestor.simulator.statistics import Statistics

MASK = "********"

_SENDING = frozenset({"run", "resume", "reconcile"})

_OWN_OPTIONS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {"check": CheckOptions, "config": ConfigOptions, "forget": ForgetOptions, "results": ResultsOptions}
)


def perform(command: Command, argv: Sequence[str]) -> int:
    """Run one command and return its exit code. Raises IngestorError."""
    parser = parser_of(command)
    if not {"-h", "--help"}.isdisjoint(takewhile(lambda word: word != "--", argv)):
        sys.stdout.write(parser.format_help())
        return ExitCode.OK
    line = parser.read(argv)
    if command.name == "simulate":
        return _simulate(from_flags(SimulateOptions, line.options))
    own, settings = _own_options(command.name, line.options)
    if isinstance(own, ConfigOptions) and own.init:
        return _init(settings, line.config)
    sends = command.name in _SENDING or (isinstance(own, CheckOptions) and own.online)
    loaded = load(settings, line.config, sending=sends)
    for warning in loaded.warnings:
        _warn(warning)
    if command.name in _SENDING:
        return _send(command.name, loaded, line.arguments)
    return _inspect(own, loaded, line.arguments)


def _own_options(name: str, given: Mapping[str, object]) -> tuple[BaseModel | None, dict[str, object]]:
    """Return the options of one command alone, and the given settings."""
    model = _OWN_OPTIONS.get(name)
    settings = {key: value for key, value in given.items() if model is None or key not in model.model_fields}
    own = {key: value for key, value in given.items() if key not in settings}
    return None if model is None else from_flags(model, own), settings


def parser_of(command: Command) -> Parser:
    """Return the parser for the options of a command."""
    parser = Parser(command.name, command.arguments, command.text, epilog(command))
    if command.name == "simulate":
        parser.add_options(SimulateOptions)
    else:
        if (own := _OWN_OPTIONS.get(command.name)) is not None:
            parser.add_options(own)
        parser.add_options(Settings, command.settings, command.defaults)
    parser.add_common(config=command.name != "simulate")
    return parser


def _send(name: str, loaded: Loaded, sources: Sequence[str]) -> int:
    """Run a command that sends. Only its own module is imported: no command waits for the parts of another."""
    settings = loaded.settings
    target, options, terminal = target_of(settings), _within_limits(options_of(settings)), terminal_of(settings)
    match name:
        case "run":
            from ingestor.app.run import run

            return run(target, options, sources, terminal, spool=settings.spool)
        case "resume":
            from ingestor.app.resume import resume

            return resume(target, options, terminal, is_named=_named_batch(loaded) is not None)
        case _:
            from ingestor.app.run import reconcile

            return reconcile(target, options, _named_batch(loaded), terminal)


def _within_limits(options: BatchOptions) -> BatchOptions:
    from ingestor.app.limits import within_limits

    possible = within_limits(options)
    if possible.concurrency < options.concurrency:
        _warn(f"the limit of open files (ulimit -n) allows only {possible.concurrency:,} requests in flight")
    return possible


def _inspect(own: BaseModel | None, loaded: Loaded, sources: Sequence[str]) -> int:
    """Run a command that creates nothing. Its own options say which one it is."""
    settings, as_json = loaded.settings, loaded.settings.output is Output.JSON
    match own:
        case ConfigOptions():
            return _config(loaded)
        case CheckOptions():
            return _check(own, loaded, sources)
        case ForgetOptions():
            from ingestor.cli.forget import forget

            return forget(own, settings, _named_batch(loaded))
        case ResultsOptions():
            from ingestor.app.inspect import results

            outcome = None if own.outcome is None else str(own.outcome)
            batch, as_csv = _named_batch(loaded), own.format is Format.CSV
            return results(settings.state, outcome=outcome, batch=batch, as_csv=as_csv)
        case _:
            from ingestor.app.inspect import status

            return status(settings.state, as_json=as_json)


def _check(own: CheckOptions, loaded: Loaded, sources: Sequence[str]) -> int:
    settings, as_json = loaded.settings, loaded.settings.output is Output.JSON
    if own.online:
        from ingestor.app.online import check_online

        target, options = target_of(settings), options_of(settings)
        return check_online(target, options, sources, as_json=as_json, progress=settings.progress)
    from ingestor.app.check import check

    if any(name in loaded.given for name in TARGETS):
        _warn_of_the_target(loaded)
    return check(options_of(settings), sources, as_json=as_json, progress=settings.progress)


def _named_batch(loaded: Loaded) -> str | None:
    return loaded.settings.batch if "batch" in loaded.given else None


def _simulate(options: SimulateOptions) -> int:
    """Serve until Ctrl-C or SIGTERM, and print at the end what was created. Raises UsageError if it can't listen."""
    import asyncio

    from ingestor.simulator.server import serve

    statistics = asyncio.run(serve(options.service(), options.host, options.port, _print_address))
    print(_totals(statistics), file=sys.stderr)
    return ExitCode.OK


def _print_address(url: str) -> None:
    print(f"simulated AIDP listening on {url}", flush=True)
    print("stop it with Ctrl-C", file=sys.stderr, flush=True)


def _totals(statistics: "Statistics") -> str:
    """Return the statistics in one line; the simulator serves all of them at /statistics while it runs."""
    from ingestor.report.text import spell_count

    faults = f", {sum(statistics.faults.values()):,} with a fault" if statistics.faults else ""
    doubled = sum(count > 1 for count in statistics.runs_by_token().values())
    tokens = (
        f"{spell_count(doubled, 'retry token')} created more than one" if doubled else "no two with one retry token"
    )
    requests = f"{spell_count(statistics.requests, 'request')}, {statistics.throttled:,} answered with 429{faults}"
    return f"{requests}; {spell_count(statistics.run_count, 'run')} created, {tokens}"


def _init(settings: Mapping[str, object], config: str | None) -> int:
    """Write a settings file. Raises UsageError if there is one already."""
    from ingestor.cli.template import TEMPLATE_NAME, write_template

    path = TEMPLATE_NAME if config is None else config
    write_template(path, settings)
    if path != "-":
        print(f"{path} is written. Fill it in; then `ingestor config --config {path}` shows what is in effect.")
    return ExitCode.OK


def _config(loaded: Loaded) -> int:
    sys.stdout.write(f"{show(loaded)}\n")
    sys.stdout.flush()
    _warn_of_the_target(loaded)
    return ExitCode.OK


def _warn_of_the_target(loaded: Loaded) -> None:
    for problem in problems_before_a_request(loaded):
        _warn(f"run needs more: {printable(problem, WHOLE)}")


def _warn(message: str) -> None:
    sys.stderr.write(f"ingestor: warning: {message}\n")


def options_of(settings: Settings) -> BatchOptions:
    """Return how the batch is processed. Every option has the name of its setting."""
    return BatchOptions(**{field.name: getattr(settings, field.name) for field in fields(BatchOptions)})


def terminal_of(settings: Settings) -> "Terminal":
    """Return what the command prints."""
    from ingestor.app.terminal import Terminal

    return Terminal(json=settings.output is Output.JSON, progress=settings.progress)


def show(loaded: Loaded) -> str:
    """Return all settings, secrets masked, in the form that the option `output` names."""
    return _as_json(loaded) if loaded.settings.output is Output.JSON else _as_table(loaded)


def _values(settings: Settings) -> dict[str, object]:
    values: dict[str, object] = settings.model_dump(mode="json")
    secrets = {name for name, field in Settings.model_fields.items() if option_of(field).secret}
    return {name: MASK if name in secrets and value is not None else value for name, value in values.items()}


def _as_json(loaded: Loaded) -> str:
    rows = {
        name: {
            "value": value,
            "from": loaded.given[name].place if name in loaded.given else Place.DEFAULT,
            "name": loaded.given[name].name if name in loaded.given else None,
        }
        for name, value in _values(loaded.settings).items()
    }
    return json.dumps({**rows, "proxy": json_row(partial(target_of, loaded.settings))}, indent=2)


def _as_table(loaded: Loaded) -> str:
    rows = [
        (name, _text(name, value), loaded.spell(name) if name in loaded.given else str(Place.DEFAULT))
        for name, value in _values(loaded.settings).items()
    ]
    rows.append(table_row(partial(target_of, loaded.settings)))
    names, values = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{name:{names}}  {value:{values}}  {origin}" for name, value, origin in rows)


def _text(name: str, value: object) -> str:
    if value is None:
        return f"({option_of(Settings.model_fields[name]).default or 'not set'})"
    return shown(value, WHOLE)
