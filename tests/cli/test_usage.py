import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ingestor.app.messages import complain
from ingestor.cli.commands import parser_of
from ingestor.cli.flags import CommandLine
from ingestor.cli.main import main
from ingestor.cli.pages import COMMANDS
from tests.settings.environment import environment


def read(command: str, *words: str) -> CommandLine:
    return parser_of(COMMANDS[command]).read(words)


EMPTY_NAME = "an empty name: name a file or a directory. An empty variable of a shell may be the cause"


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with environment():
        assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return err


def ingestor(*argv: str, stdout: int = subprocess.PIPE, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("INGESTOR_")}
    command = [sys.executable, "-m", "ingestor", *argv]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, env=clean | variables)


def test_options_may_come_before_between_and_after_sources() -> None:
    line = read("run", "--rate", "5", "a.jsonl", "--no-stamp", "b.jsonl", "-", "--config=c.toml")
    assert line == CommandLine({"rate": "5", "stamp": False}, ["a.jsonl", "b.jsonl", "-"], "c.toml")


def test_what_follows_two_dashes_is_a_source() -> None:
    assert read("run", "--rate", "5", "--", "--rate", "-x", "--").arguments == ["--rate", "-x", "--"]
    assert read("run", "a", "--", "--help").arguments == ["a", "--help"]


def test_a_value_may_be_negative_or_begin_with_a_dash() -> None:
    assert read("run", "--rate", "-1", "--batch=-b").options == {"rate": "-1", "batch": "-b"}


def test_the_same_value_may_be_given_twice() -> None:
    words = ("--rate", "1", "--stamp", "--rate=1", "--stamp", "--config", "c.toml", "--config=c.toml")
    assert read("run", *words) == CommandLine({"rate": "1", "stamp": True}, [], "c.toml")


def test_every_setting_is_taken_by_every_command_that_has_settings() -> None:
    for command in ("run", "check", "status", "results", "config"):
        assert read(command, "--region", "r").options == {"region": "r"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            [],
            (
                "name a command: run, check, status, results, reconcile, resume, forget, report, prune, simulate, "
                "config, doctor, completion "
                "(see ingestor --help)"
            ),
        ),
        (["rnu"], "rnu: no such command; did you mean run? (see ingestor --help)"),
        (["zzz"], "zzz: no such command (see ingestor --help)"),
        (["--rate", "5", "run"], "--rate: put options after the command: ingestor COMMAND [OPTIONS]"),
        (["run", "--rte", "5"], "--rte: no such option; did you mean --rate? (see ingestor run --help)"),
        (
            ["run", "--platform", "x"],
            "--platform: no such option; did you mean --platform-id? (see ingestor run --help)",
        ),
        (
            ["run", "--rate", "1", "a.jsonl", "--rate=2"],
            "--rate is given twice, as 1 and 2: give it once (see ingestor run --help)",
        ),
        (
            ["config", "--config", "a.toml", "--config", "b.toml"],
            "--config is given twice, as a.toml and b.toml: give it once (see ingestor config --help)",
        ),
        (
            ["forget", "--outcome", "failed", "--outcome", "rejected"],
            "--outcome is given twice, as failed and rejected: give it once (see ingestor forget --help)",
        ),
        (["run", "--stamp", "--no-stamp"], "--stamp and --no-stamp: give only one of them (see ingestor run --help)"),
        (
            ["results", "--outcome", "rejected"],
            (
                "--outcome: must not be rejected: those records are not in the journal, but in the file of rejected "
                "records (rejects.jsonl in the state directory, unless --rejects names another)"
            ),
        ),
        (["run", "--rate"], "--rate: expected one argument (see ingestor run --help)"),
        (["status", "runs.jsonl"], "unexpected argument runs.jsonl (see ingestor status --help)"),
        (["status", "--", "--help"], "unexpected argument --help (see ingestor status --help)"),
        (["simulate", "--config", "x"], "--config: no such option (see ingestor simulate --help)"),
        (["simulate", "--port", "high"], "--port: must be a whole number, got high"),
        (
            ["simulate", "--limiter", "fixed:500"],
            "--limiter: must give 'rate' as a rate above 0, such as 500/s, 3000/min or 10000/h; got '500'",
        ),
        (
            ["simulate", "--limiter", "shed:1%+nodes:500/s"],
            "--limiter: must have the form nodes:RATE,nodes=N[,burst=SECONDS][,uneven]; got 'nodes:500/s'",
        ),
        (
            ["simulate", "--retry-after", "soon"],
            "--retry-after: must be none, seconds, date or a whole number of seconds",
        ),
        (["results", "--format", "xml"], "--format: must be 'jsonl' or 'csv', got xml"),
        (["run", "--tracking-uri", "http://h", "--rate", "-1"], "--rate: must be greater than 0, got -1"),
        (
            ["run", "--tracking-uri", "http://h", "--log-max-bytes", "9999"],
            "--log-max-bytes: must be at least 10000, got 9999",
        ),
        (["run", ""], EMPTY_NAME),
        (["check", "runs.jsonl", ""], EMPTY_NAME),
        (["forget", "--job-id", ""], "--job-id: must not be an empty name"),
    ],
)
def test_a_wrong_command_line_is_reported_and_exits_2(
    capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert refused(capsys, *argv) == f"ingestor: {message}\n"


@pytest.mark.parametrize(
    ("flags", "variables", "words"),
    [
        ((), {"http_proxy": "socks5://p:1"}, "http_proxy names a SOCKS proxy"),
        (
            ("--auth", "basic", "--basic-username", "u"),
            {"INGESTOR_BASIC_PASSWORD": "x"},
            "http://h.example is not encrypted",
        ),
    ],
    ids=["proxy", "clear text"],
)
def test_a_target_that_can_not_be_used_makes_no_state_directory(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
    variables: dict[str, str],
    words: str,
) -> None:
    (tmp_path / "runs.jsonl").write_text('{"run_name": "r"}\n')
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    state = tmp_path / "state"
    argv = ["run", "--tracking-uri", "http://h.example", *flags, "--state", str(state), str(tmp_path / "runs.jsonl")]
    assert main(argv) == 2
    assert capsys.readouterr().err.startswith(f"ingestor: {words}")
    assert not state.exists()


@pytest.mark.parametrize("words", [["--bearer-token", "hunter2"], ["--bearer-token=hunter2"], ["--pasword=hunter2"]])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(
    capsys: pytest.CaptureFixture[str], command: str, words: list[str]
) -> None:
    assert "hunter2" not in refused(capsys, command, *words)


def test_the_message_about_a_secret_on_the_command_line_names_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "run", "--oci-passphrase=x") == (
        "ingestor: --oci-passphrase: a secret can't be given as a flag: set INGESTOR_OCI_PASSPHRASE instead "
        "(see ingestor run --help)\n"
    )


def test_no_control_character_of_an_argument_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["\x1b[2J"], ["run", "--\x1b[2J"], ["status", "\x1b[2J"], ["run", "--config", "\x1b[2J"]):
        assert "\x1b" not in refused(capsys, *argv)


def test_control_characters_of_a_message_are_escaped_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain("one\x1b[2J\ntwo")
    assert capsys.readouterr().err == "ingestor: one\\x1b[2J\ningestor: two\n"


def test_config_prints_the_settings_and_what_run_needs_more(capsys: pytest.CaptureFixture[str]) -> None:
    with environment(INGESTOR_BATCH="nightly", INGESTOR_BEARER_TOKEN="hunter2"):
        assert main(["config", "--rate", "5"]) == 0
    out, err = capsys.readouterr()
    assert "nightly" in out
    assert "INGESTOR_BATCH" in out
    assert "hunter2" not in out + err
    assert "ingestor: warning: run needs more: the target is missing" in err


def test_the_program_runs_as_a_module_and_exits_with_its_code() -> None:
    done = ingestor("config", INGESTOR_RATE="-1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ingestor: INGESTOR_RATE: must be greater than 0, got -1\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_closed_the_pipe_causes_no_message(unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = ingestor("--help", stdout=writer, PYTHONUNBUFFERED=unbuffered)
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_reported_in_one_line(unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = ingestor("--help", stdout=full.fileno(), PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 4
    assert done.stderr == "ingestor: standard output: No space left on device\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_restores_the_signal_handlers(capsys: pytest.CaptureFixture[str], number: int) -> None:
    before = signal.getsignal(number)
    refused(capsys, "run", "--no-such-option")
    assert signal.getsignal(number) is before
