"""The help of each command. Plain text, so that the first page appears at once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ingestor.simulator.limiter_spec import KINDS
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command as its help page shows it.

    Attributes:
        purpose: one line, for the list of commands.
        text: the paragraph above the options.
        examples: commands, each with its purpose.
        exit_codes: those that the command can end with, each with its meaning.
        arguments: how usage shows its arguments; empty if it has none.
        settings: names of the settings that it uses; None is all. It accepts the others too.
        defaults: defaults in words, where they are not those of `run`.
        values: under a title, the forms of a value that needs a list, each with its meaning.
    """

    name: str
    purpose: str
    text: str
    examples: tuple[tuple[str, str], ...]
    exit_codes: Mapping[int, str]
    arguments: str = ""
    settings: Collection[str] | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)
    values: tuple[str, Mapping[str, str]] | None = None


_TARGET = (
    "region",
    "endpoint",
    "platform_id",
    "workspace",
    "tracking_uri",
    "dh_user_principal",
    "auth",
    "oci_config",
    "oci_profile",
    "oci_passphrase",
    "basic_username",
    "basic_password",
    "bearer_token_file",
    "bearer_token",
)
_STATE = ("batch", "state", "same_server", "allow_network_state")
_SENDING = (
    *_TARGET,
    "retry_tokens",
    *_STATE,
    "rate",
    "concurrency",
    "timeout",
    "max_attempts",
    "max_retry_time",
    "max_pause",
    "give_up_after",
    "wait_for_service",
    "time_budget",
    "drain_timeout",
    "log",
    "log_max_bytes",
    "log_keep",
    "output",
    "progress",
)
"""The settings that every command uses which sends requests."""

_WRONG = {2: "the command or a setting is wrong"}
_LIMITERS = {f"{name}:{kind.form}": kind.purpose for name, kind in KINDS.items()}
_INTERRUPTED = {75: "interrupted, by Ctrl-C or another signal"}
_RUN_CODES = {
    0: "every record is a complete run",
    **_WRONG,
    3: "finished, but some records are rejected, failed, partial or unresolved",
    4: "halted: credentials, address or service are wrong for every record, or the state directory can't be used",
    75: "stopped early: the same command continues",
}
_RESUME_CODES = {
    **_RUN_CODES,
    3: f"{_RUN_CODES[3]}; or some outcomes are unknown: run `ingestor reconcile`",
    75: "stopped early; or the rest of a pipe was not kept: run the command that read it again",
}
_RECONCILE_CODES = {
    0: "nothing is unresolved now",
    **_WRONG,
    3: "some jobs are still unresolved: `ingestor results --outcome unresolved` shows why",
    4: "halted: credentials, address or service are wrong, or the state directory can't be used",
    75: "stopped early: the same command continues",
}
_CHECK_CODES = {
    0: "every record is valid; with --online, also: all experiments can take runs",
    **_WRONG,
    3: "some records are not valid; with --online, also: experiments are missing, deleted or not known",
    4: "with --online: credentials, address or service are wrong for every record; or a limit of the system is reached",
    **_INTERRUPTED,
}
_JOURNAL_CODES = {0: "done", **_WRONG, 4: "the journal can't be read", **_INTERRUPTED}
_FORGET_CODES = {**_JOURNAL_CODES, 4: "the journal can't be changed", 75: "a run uses the state directory: wait"}
_PLAIN_CODES = {0: "done", **_WRONG}

_SOURCES = """\
SOURCE is a file, a glob in quotes, a directory (its .jsonl, .ndjson and .json files at any depth) or - for
standard input, which is the default. All may be compressed, with gzip, bzip2, xz or zstd."""

_TO_THE_SIMULATOR = f"""\
ingestor run runs.jsonl --auth none --endpoint http://127.0.0.1:8765 \\
    --platform-id {PLATFORM_ID} --workspace {WORKSPACE_KEY}"""

COMMANDS = {
    command.name: command
    for command in (
        Command(
            name="run",
            purpose="read records, create runs",
            text="Read records and create one run for each, exactly once. Finished records are not sent again,\n"
            f"so you can repeat the same command at any time.\n\n{_SOURCES}",
            arguments="[SOURCE ...]",
            examples=(
                (
                    "ingestor run runs.jsonl --region us-ashburn-1 --platform-id OCID --workspace KEY",
                    "into AI Data Platform, with the API key in ~/.oci/config",
                ),
                ("ingestor run --config migration.toml 'export/*.jsonl.gz'", "with settings from a file"),
                ("ingestor run --tracking-uri http://127.0.0.1:5000 runs.jsonl", "into an MLflow server"),
                (
                    "jq -r .record .ingestor/rejects.jsonl | ingestor run --config migration.toml -",
                    "rejected records, after you fixed them",
                ),
            ),
            exit_codes=_RUN_CODES,
        ),
        Command(
            name="check",
            purpose="validate every record, send nothing",
            text="Validate every record and create nothing. Without --online nothing is sent, and no target is\n"
            f"needed.\n\n{_SOURCES}",
            arguments="[SOURCE ...]",
            settings=(*_TARGET, "rate", "timeout", "output", "progress"),
            examples=(
                ("ingestor check runs.jsonl", "before the first real run"),
                ("ingestor check --online --config migration.toml runs.jsonl", "credentials and experiments as well"),
            ),
            exit_codes=_CHECK_CODES,
        ),
        Command(
            name="status",
            purpose="what is in the journal: jobs per outcome, oldest unresolved, last run",
            text="Print what is in the journal of the state directory. Nothing is sent.",
            settings=("state", "output"),
            examples=(("ingestor status --output json", "for a script"),),
            exit_codes=_JOURNAL_CODES,
        ),
        Command(
            name="results",
            purpose="which record became which run, from the journal",
            text="Print the map from records to runs, from the journal in the state directory: of all batches, or of\n"
            "the one that is named.",
            settings=("batch", "state"),
            defaults={"batch": "all batches"},
            examples=(
                ("ingestor results --format csv > runs.csv", "for a spreadsheet"),
                ("ingestor results --outcome failed", "what the service refused, and why"),
            ),
            exit_codes=_JOURNAL_CODES,
        ),
        Command(
            name="reconcile",
            purpose="settle what is unresolved",
            text="Search the service for the run of every job whose outcome is not known, by the tag ingestor.token:\n"
            "in all batches of this target, or in the one that is named. A job whose run is found is created. A job\n"
            "that certainly has no run is sent again by the next run. Creates no runs.",
            settings=_SENDING,
            defaults={"batch": "all batches of this target"},
            examples=(("ingestor reconcile --config migration.toml", "after a run that ended with exit code 3"),),
            exit_codes=_RECONCILE_CODES,
        ),
        Command(
            name="resume",
            purpose="finish what a stopped batch left",
            text="Finish what a stopped or killed run left: the rest of its files and of the standard input that was\n"
            "kept, each from its checkpoint, and records that failed or are unresolved. Finished\n"
            "records are not sent again.",
            settings=(*_SENDING, "senders", "stamp", "new_state", "rejects"),
            examples=(
                ("ingestor resume --config sidecar.toml", "after the pod was killed"),
                ("ingestor resume --config sidecar.toml --batch nightly", "the same for another batch"),
            ),
            exit_codes=_RESUME_CODES,
        ),
        Command(
            name="forget",
            purpose="stop sending records that will never work; they count as done",
            text="Give up records that failed, are unresolved or were rejected: they are not sent or reported again,\n"
            "and count as done, so that a later run can end with 0. All that is known of them stays in the journal. A\n"
            "rejected record that you change is a new record. No target is needed, unless batches of one name went\n"
            "to several.",
            settings=(
                "platform_id",
                "workspace",
                "tracking_uri",
                "batch",
                "state",
                "allow_network_state",
                "rejects",
                "output",
            ),
            defaults={"batch": "the only batch of the journal"},
            examples=(
                ("ingestor forget --outcome rejected", "the records in rejects.jsonl and the older files"),
                ("ingestor forget --job-id run-17 --job-id run-18", "two jobs"),
                ("ingestor forget --outcome failed --undo", "take it back: the next run sends them again"),
            ),
            exit_codes=_FORGET_CODES,
        ),
        Command(
            name="simulate",
            purpose="the AIDP simulator, on this machine only",
            text="Serve a simulated AI Data Platform on a loopback address until Ctrl-C. It stores nothing.",
            examples=(
                ("ingestor simulate --limit 200", "a service that accepts 200 requests a second"),
                ("ingestor simulate --faults error_500=0.05,reset_after=0.02", "a service that fails sometimes"),
                (
                    "ingestor simulate --limiter shed:0.5%+fixed:30000/min,window=60",
                    "two limiters, one after the other",
                ),
                (_TO_THE_SIMULATOR, "the command for another terminal"),
            ),
            exit_codes=_PLAIN_CODES,
            values=("Limiters (a RATE is 500/s, 30000/min or 100000/h; a SHARE is 0.5%):", _LIMITERS),
        ),
        Command(
            name="config",
            purpose="the effective settings and where each came from, secrets masked",
            text="Print every setting with its value and its origin. Accepts the options of `run`.",
            examples=(
                ("ingestor config --init", "a file that explains every setting, to begin with"),
                ("ingestor config --config migration.toml --rate 50", "the settings that run would use"),
            ),
            exit_codes=_PLAIN_CODES,
        ),
    )
}


def front_page() -> str:
    """Return what `ingestor --help` prints."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {command.purpose}" for name, command in COMMANDS.items())
    return f"""\
usage: ingestor COMMAND [SOURCE ...] [OPTIONS]

Imports the history of ML experiments into Oracle AI Data Platform: every record becomes exactly one run.

Commands:
{commands}

ingestor COMMAND --help explains one command; ingestor --version prints the version.

Try it on this machine. In one terminal
  ingestor simulate
and in another
  echo '{{"experiment_id": "1", "run_name": "my first run"}}' > runs.jsonl
  {_TO_THE_SIMULATOR}
  ingestor results

Settings: every option has one name everywhere. --platform-id is INGESTOR_PLATFORM_ID in the environment and
platform_id in the TOML file that --config or INGESTOR_CONFIG names. Flags override environment variables, which
override the file. Secrets can't be given as flags.

{_listed(_RUN_CODES)}"""


def epilog(command: Command) -> str:
    """Return the text below the options of a command."""
    values = f"{command.values[0]}\n{_explained(command.values[1])}\n\n" if command.values else ""
    return f"{values}Examples:\n{_explained(dict(command.examples))}\n\n{_listed(command.exit_codes)}"


def _explained(lines: Mapping[str, str]) -> str:
    return "\n".join(f"  {line}\n      {purpose}" for line, purpose in lines.items())


def _listed(exit_codes: Mapping[int, str]) -> str:
    return "Exit codes:\n" + "\n".join(f"  {code:2}  {meaning}" for code, meaning in exit_codes.items())
