"""The commands: each reads its options and calls its module in `app`, which is imported only then."""

import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from itertools import takewhile
from typing import TYPE_CHECKING

from pydantic import SecretStr

from ingestor.app.options import BatchOptions
from ingestor.cli.flags import Parser
from ingestor.cli.pages import Command, epilog
from ingestor.model.errors import ExitCode
from ingestor.model.text import WHOLE
from ingestor.settings.commands import Format, ResultsOptions, SimulateOptions
from ingestor.settings.load import Loaded, Place, from_flags, load, target_problems
from ingestor.settings.options import Settings, option_of
from ingestor.settings.values import Output
from ingestor.settings.wording import shown

if TYPE_CHECKING:
    from ingestor.app.target import Target
    from ingestor.app.terminal import Terminal
    from ingestor.simulator.statistics import Statistics

MASK = "********"

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
    """Return the parser for the options of a command."""
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
    settings = loaded.settings
    target, options, terminal = target_of(settings), options_of(settings), terminal_of(settings)
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


def _inspect(name: str, loaded: Loaded, sources: Sequence[str], wanted: ResultsOptions) -> int:
    """Run a command that only reads."""
    settings, as_json = loaded.settings, loaded.settings.output is Output.JSON
    if name == "check":
        from ingestor.app.inspect import check

        return check(options_of(settings), sources, as_json=as_json)
    from ingestor.app.inspect import results, status

    if name == "status":
        return status(settings.state, as_json=as_json)
    outcome = None if wanted.outcome is None else str(wanted.outcome)
    return results(settings.state, outcome=outcome, batch=_named_batch(loaded), as_csv=wanted.format is Format.CSV)


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


def _config(loaded: Loaded) -> int:
    sys.stdout.write(f"{show(loaded)}\n")
    for problem in target_problems(dict(loaded.settings), loaded.spell):
        _warn(f"run needs more: {problem}")
    return ExitCode.OK


def _warn(message: str) -> None:
    sys.stderr.write(f"ingestor: warning: {message}\n")


def target_of(settings: Settings) -> "Target":
    """Return where the runs are created. Raises UsageError."""
    from ingestor.app.target import Credentials, aidp, mlflow

    credentials = Credentials(
        auth=settings.auth,
        oci_config=settings.oci_config,
        oci_profile=settings.oci_profile,
        oci_passphrase=_revealed(settings.oci_passphrase),
        bearer_token=_revealed(settings.bearer_token),
        bearer_token_file=settings.bearer_token_file,
        user_principal=settings.dh_user_principal,
    )
    if settings.tracking_uri is not None:
        return mlflow(settings.tracking_uri, **credentials)
    return aidp(
        platform_id=settings.platform_id or "",
        workspace=settings.workspace or "",
        region=settings.region,
        endpoint=settings.endpoint,
        **credentials,
    )


def options_of(settings: Settings) -> BatchOptions:
    """Return how the batch is processed. Every option has the name of its setting, except `follow`."""
    names = {field.name for field in fields(BatchOptions)} - {"wait_for_service"}
    return BatchOptions(**{name: getattr(settings, name) for name in names}, wait_for_service=settings.follow)


def terminal_of(settings: Settings) -> "Terminal":
    """Return what the command prints."""
    from ingestor.app.terminal import Terminal

    return Terminal(json=settings.output is Output.JSON, progress=settings.progress)


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


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
    return json.dumps(rows, indent=2)


def _as_table(loaded: Loaded) -> str:
    rows = [
        (name, _text(name, value), loaded.spell(name) if name in loaded.given else str(Place.DEFAULT))
        for name, value in _values(loaded.settings).items()
    ]
    names, values = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{name:{names}}  {value:{values}}  {origin}" for name, value, origin in rows)


def _text(name: str, value: object) -> str:
    if value is None:
        return f"({option_of(Settings.model_fields[name]).default or 'not set'})"
    return shown(value, WHOLE)
