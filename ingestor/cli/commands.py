"""The commands: each reads its options and hands over to `service`, which is imported only then."""

import sys
from collections.abc import Sequence
from itertools import takewhile

from ingestor.model.errors import ExitCode
from ingestor.settings.flags import Parser
from ingestor.settings.load import Loaded, from_flags, load
from ingestor.settings.options import Settings
from ingestor.settings.pages import Command, epilog
from ingestor.settings.results import ResultsOptions
from ingestor.settings.rules import target_problems
from ingestor.settings.show import show
from ingestor.settings.simulate import SimulateOptions

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
    return _serve(command.name, loaded, line.arguments or ["-"], from_flags(ResultsOptions, wanted))


def parser_of(command: Command) -> Parser:
    """Return the parser that knows a command's options."""
    parser = Parser(command.name, command.arguments, command.text, epilog(command))
    if command.name == "simulate":
        parser.add_options(SimulateOptions)
    else:
        if command.name == "results":
            parser.add_options(ResultsOptions)
        parser.add_options(Settings, command.settings)
    parser.add_common(config=command.name != "simulate")
    return parser


def _serve(name: str, loaded: Loaded, sources: Sequence[str], wanted: ResultsOptions) -> int:
    """InFlight over to the command's own module, which alone is imported: none waits for the parts of another."""
    settings = loaded.settings
    match name:
        case "run":
            from ingestor.app.run import run

            return run(settings, sources)
        case "resume":
            from ingestor.app.resume import resume

            return resume(settings)
        case "reconcile":
            from ingestor.app.reconcile import reconcile

            return reconcile(settings, _named_batch(loaded))
        case "check":
            from ingestor.app.check import check

            return check(settings, sources)
        case "status":
            from ingestor.app.inspect import status

            return status(settings)
        case _:
            from ingestor.app.inspect import results

            return results(settings, wanted, _named_batch(loaded))


def _named_batch(loaded: Loaded) -> str | None:
    return loaded.settings.batch if "batch" in loaded.given else None


def _simulate(options: SimulateOptions) -> int:
    from ingestor.app.simulate import simulate

    return simulate(options)


def _config(loaded: Loaded) -> int:
    sys.stdout.write(f"{show(loaded)}\n")
    for problem in target_problems(dict(loaded.settings), loaded.spell):
        _warn(f"run needs more: {problem}")
    return ExitCode.OK


def _warn(message: str) -> None:
    sys.stderr.write(f"ingestor: warning: {message}\n")
