"""The commands: each reads its options and calls its module in `app`, which is imported only then."""

import sys
from collections.abc import Sequence
from itertools import takewhile

from ingestor.cli.flags import Parser
from ingestor.cli.pages import Command, epilog
from ingestor.cli.show import show
from ingestor.model.errors import ExitCode
from ingestor.settings.load import Loaded, from_flags, load
from ingestor.settings.options import Settings
from ingestor.settings.results import Format, ResultsOptions
from ingestor.settings.rules import target_problems
from ingestor.settings.simulate import SimulateOptions
from ingestor.settings.values import Output

_SENDING = frozenset({"run", "resume", "reconcile"})


def perform(command: Command, argv: Sequence[str]) -> int:
    """Run one command and return its exit code. Raises IngestorError."""
    parser = parser_of(command)
    if not {"-h", "--help"}.isdisjoint(takewhile(lambda word: word != "--", argv)):
        sys.stdout.write(parser.format_help())
        return ExitCode.OK
    line = parser.read(argv)
    if command.name == "simulate":
        return _simulate(from_flags(SimulateOptions, line.options))
    wanted = {name: value for name, value in line.options.items() if name in ResultsOptions.model_fields}
    settings = {name: value for name, value in line.options.items() if name not in wanted}
    loaded = load(settings, line.config, sending=command.name in _SENDING)
    for warning in loaded.warnings:
        _warn(warning)
    if command.name == "config":
        return _config(loaded)
    if command.name in _SENDING:
        return _send(command.name, loaded, line.arguments)
    return _inspect(command.name, loaded, line.arguments, from_flags(ResultsOptions, wanted))


def parser_of(command: Command) -> Parser:
    """Return the parser that knows the options of a command."""
    parser = Parser(command.name, command.arguments, command.text, epilog(command))
    if command.name == "simulate":
        parser.add_options(SimulateOptions)
    else:
        if command.name == "results":
            parser.add_options(ResultsOptions)
        parser.add_options(Settings, command.settings)
    parser.add_common(config=command.name != "simulate")
    return parser


def _send(name: str, loaded: Loaded, sources: Sequence[str]) -> int:
    """Run a command that sends. Only its own module is imported: no command waits for the parts of another."""
    from ingestor.cli.composition import options_of, target_of, terminal_of

    settings = loaded.settings
    target, options, terminal = target_of(settings), options_of(settings), terminal_of(settings)
    match name:
        case "run":
            from ingestor.app.run import run

            return run(target, options, sources, terminal, spool=settings.spool)
        case "resume":
            from ingestor.app.resume import resume

            return resume(target, options, terminal)
        case _:
            from ingestor.app.reconcile import reconcile

            return reconcile(target, options, _named_batch(loaded), terminal)


def _inspect(name: str, loaded: Loaded, sources: Sequence[str], wanted: ResultsOptions) -> int:
    """Run a command that only reads."""
    settings, as_json = loaded.settings, loaded.settings.output is Output.JSON
    if name == "check":
        from ingestor.app.check import check
        from ingestor.cli.composition import options_of

        return check(options_of(settings), sources, as_json=as_json)
    from ingestor.app.inspect import results, status

    if name == "status":
        return status(settings.state, as_json=as_json)
    outcome = None if wanted.outcome is None else str(wanted.outcome)
    return results(settings.state, outcome=outcome, batch=_named_batch(loaded), as_csv=wanted.format is Format.CSV)


def _named_batch(loaded: Loaded) -> str | None:
    return loaded.settings.batch if "batch" in loaded.given else None


def _simulate(options: SimulateOptions) -> int:
    from ingestor.app.simulate import simulate

    return simulate(options.service(), options.host, options.port)


def _config(loaded: Loaded) -> int:
    sys.stdout.write(f"{show(loaded)}\n")
    for problem in target_problems(dict(loaded.settings), loaded.spell):
        _warn(f"run needs more: {problem}")
    return ExitCode.OK


def _warn(message: str) -> None:
    sys.stderr.write(f"ingestor: warning: {message}\n")
