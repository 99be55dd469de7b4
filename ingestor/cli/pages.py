"""The help of each command. Plain text, so that the first page appears at once."""

from ingestor.cli.command import Command
from ingestor.cli.exit_codes import (
    CHECK_CODES,
    DOCTOR_CODES,
    FORGET_CODES,
    JOURNAL_CODES,
    PLAIN_CODES,
    PRUNE_CODES,
    RECONCILE_CODES,
    RESUME_CODES,
    RUN_CODES,
)
from ingestor.simulator.limiter_spec import KINDS
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY

_TARGET = (
    "region",
    "endpoint",
    "platform_id",
    "workspace",
    "tracking_uri",
    "dh_user_principal",
    "ca_file",
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
_SPEED = ("rate", "concurrency", "timeout")
_MONITORING = ("listen", "listen_name", "listen_token_file", "metrics_file")
_SENDING = (
    *_TARGET,
    "retry_tokens",
    *_STATE,
    *_MONITORING,
    *_SPEED,
    "max_attempts",
    "max_retry_time",
    "max_pause",
    "give_up_after",
    "wait_for_service",
    "time_budget",
    "budget_exit",
    "drain_timeout",
    "log",
    "log_max_bytes",
    "log_keep",
    "output",
    "progress",
    "quiet",
)
"""The settings that every command uses which sends requests."""

_EXAMINED = ("new_state", "follow", "accept", "accept_token_file", *_MONITORING, *_SPEED, "senders", "log", "rejects")
"""What else `doctor` looks at."""

_LIMITERS = {f"{name}:{kind.form}": kind.purpose for name, kind in KINDS.items()}

_SOURCES = """\
SOURCE is a file, a glob in quotes, a directory (its .jsonl, .ndjson and .json files at any depth) or - for
standard input, which is the default. All may be compressed, with gzip, bzip2, xz or zstd."""

TO_THE_SIMULATOR = f"""\
ingestor run runs.jsonl --auth none --endpoint http://127.0.0.1:8765 \\
    --platform-id {PLATFORM_ID} --workspace {WORKSPACE_KEY}"""
"""The first command of a user, against the simulator."""

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
                ("ingestor run --config backfill.toml --time-budget 10800 --quiet /exports", "each night, from cron"),
                (
                    "ingestor run --config sidecar.toml --follow '/runs/*.jsonl*'",
                    "records that an application writes, until SIGTERM",
                ),
                (
                    "ingestor run --config sidecar.toml --accept unix:accept.sock",
                    "records that other programs send with POST /runs, until SIGTERM",
                ),
            ),
            exit_codes=RUN_CODES,
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
            exit_codes=CHECK_CODES,
        ),
        Command(
            name="status",
            purpose="what is in the journal: jobs per outcome, oldest unresolved, last run",
            text="Print what is in the journal of the state directory. Nothing is sent. A run in progress writes down\n"
            "about once a minute what it does, and why it is not faster.",
            settings=("state", "output"),
            examples=(
                ("ingestor status --output json", "for a script"),
                ("ingestor status --watch", "follow a run in another terminal, or of another user"),
            ),
            exit_codes=JOURNAL_CODES,
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
            exit_codes=JOURNAL_CODES,
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
            exit_codes=RECONCILE_CODES,
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
            exit_codes=RESUME_CODES,
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
            exit_codes=FORGET_CODES,
        ),
        Command(
            name="report",
            purpose="one document about a batch, from the journal",
            text="Write what came in, what exists now, what is missing and what to do; how fast it was, what failed\n"
            "and why, records by source and by experiment, settings, and a digest of `ingestor results`. It works at\n"
            "any time: during a run, after it, and after a crash. Nothing is sent.",
            settings=("platform_id", "workspace", "tracking_uri", "batch", "state"),
            defaults={"batch": "the only batch of the journal"},
            examples=(
                ("ingestor report --to migration.html", "one file for a browser, to send to others"),
                ("ingestor report", "as text, at the terminal"),
            ),
            exit_codes=JOURNAL_CODES,
        ),
        Command(
            name="prune",
            purpose="delete old rows of finished jobs from the journal",
            text="Delete the rows of jobs whose runs are complete and that ended long ago: of all batches, or of the\n"
            "one that is named. Their numbers stay. Jobs that are pending, unresolved, failed or forgotten stay at\n"
            "any age. A run that reads a record again whose row is deleted creates its run again.",
            settings=(
                "platform_id",
                "workspace",
                "tracking_uri",
                "batch",
                "state",
                "allow_network_state",
                "output",
            ),
            defaults={"batch": "all batches"},
            examples=(
                ("ingestor prune --older-than 90d --dry-run", "what would be deleted"),
                ("ingestor prune --older-than 90d", "once a week, for a journal that is used for years"),
            ),
            exit_codes=PRUNE_CODES,
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
                (TO_THE_SIMULATOR, "the command for another terminal"),
            ),
            exit_codes=PLAIN_CODES,
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
            exit_codes=PLAIN_CODES,
        ),
        Command(
            name="doctor",
            purpose="find what is wrong with the set-up",
            text="Check settings, credentials, clock, network, service, state directory, sources and limits. Each\n"
            "problem has its cause and what to do; what follows from a cause is not listed. One search is sent, and\n"
            "one for each experiment that the first records name. Nothing is written. The output has no secret.\n\n"
            "SOURCE is what you would give to run. Pipes and standard input are not read.",
            arguments="[SOURCE ...]",
            settings=(*_TARGET, *_STATE, *_EXAMINED, "output"),
            examples=(
                ("ingestor doctor --config migration.toml 'export/*.jsonl.gz'", "before a run, or after a halt"),
                ("ingestor doctor --offline --output json", "without sending anything, for a script"),
            ),
            exit_codes=DOCTOR_CODES,
        ),
        Command(
            name="completion",
            purpose="a script that completes commands and options: bash, zsh",
            text="Print the script that completes commands, options and their values in a shell.",
            arguments="SHELL",
            settings=(),
            examples=(
                ("ingestor completion zsh > ~/.zfunc/_ingestor", "into a directory of $fpath, before compinit"),
                ("source <(ingestor completion bash)", "in this shell, or in ~/.bashrc"),
            ),
            exit_codes=PLAIN_CODES,
        ),
    )
}
