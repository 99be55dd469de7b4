"""The exit codes of each command, each with its meaning."""

_WRONG = {2: "the command or a setting is wrong"}
_INTERRUPTED = {75: "interrupted, by Ctrl-C or another signal"}
RUN_CODES = {
    0: "every record is a complete run",
    **_WRONG,
    3: "finished, but some records are rejected, failed, partial or unresolved",
    4: "halted: credentials, address or service are wrong for every record, or the state directory can't be used",
    75: "stopped early: the same command continues",
}
RESUME_CODES = {
    **RUN_CODES,
    3: f"{RUN_CODES[3]}; or some outcomes are unknown: run `ingestor reconcile`",
    75: "stopped early; or the rest of a pipe was not kept: run the command that read it again",
}
RECONCILE_CODES = {
    0: "nothing is unresolved now",
    **_WRONG,
    3: "some jobs are still unresolved: `ingestor results --outcome unresolved` shows why",
    4: "halted: credentials, address or service are wrong, or the state directory can't be used",
    75: "stopped early: the same command continues",
}
CHECK_CODES = {
    0: "every record is valid; with --online, also: all experiments can take runs",
    **_WRONG,
    3: "some records are not valid; with --online, also: experiments are missing, deleted or not known",
    4: "with --online: credentials, address or service are wrong for every record; or a limit of the system is reached",
    **_INTERRUPTED,
}
DOCTOR_CODES = {
    0: "a run can begin; there may be warnings",
    2: "the settings, the target or the sources are wrong, or the journal has an unsupported version",
    4: "credentials, address or service are wrong for every record, or the state directory can't be used",
    **_INTERRUPTED,
}
JOURNAL_CODES = {0: "done", **_WRONG, 4: "the journal can't be read", **_INTERRUPTED}
FORGET_CODES = {**JOURNAL_CODES, 4: "the journal can't be changed", 75: "a run uses the state directory: wait"}
PRUNE_CODES = {**FORGET_CODES, 75: "a run uses the state directory; or interrupted: the same command continues"}
PLAIN_CODES = {0: "done", **_WRONG}
