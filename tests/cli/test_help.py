import platform
import re
import subprocess
import sys

import pytest

from ingestor import __version__
from ingestor.cli.commands import parser_of
from ingestor.cli.main import RESUMABLE, main
from ingestor.cli.pages import COMMANDS
from ingestor.model.errors import ExitCode
from ingestor.settings.commands import ResultsOptions, SimulateOptions
from ingestor.settings.options import Settings, flag_of, option_of, variable_of
from ingestor.simulator.limiter_spec import KINDS
from ingestor.system.commit import commit

HEAVY = {"aiohttp", "aiolimiter", "cryptography", "oci", "rich", "sqlite3", "structlog", "backports"}


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(argv) == 0
    return capsys.readouterr().out


def flags_on(page: str) -> set[str]:
    return set(re.findall(r"^  (--[a-z-]+)", page, re.MULTILINE))


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_the_first_page_lists_the_commands(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    page = printed(capsys, flag)
    assert all(f"  {name} " in page for name in COMMANDS)
    assert list(COMMANDS) == [
        "run",
        "check",
        "status",
        "results",
        "reconcile",
        "resume",
        "forget",
        "report",
        "prune",
        "simulate",
        "config",
        "doctor",
        "completion",
    ]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "--version")
    assert shown.startswith(f"ingestor {__version__} (Python {platform.python_version()}")
    assert ("commit" in shown) == (commit() is not None)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_page_with_purpose_examples_and_exit_codes(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    page = printed(capsys, name, "--help")
    assert page.startswith(f"usage: ingestor {name} ")
    assert f"Examples:\n  ingestor {name} " in page
    assert "Exit codes:\n   0  " in page


@pytest.mark.parametrize("name", ["run", "config"])
def test_the_page_of_run_has_every_setting(capsys: pytest.CaptureFixture[str], name: str) -> None:
    page = printed(capsys, name, "--help")
    for option, field in Settings.model_fields.items():
        assert variable_of(option) in page
        assert (flag_of(option) in flags_on(page)) is not option_of(field).secret


@pytest.mark.parametrize("name", ["run", "resume", "doctor"])
def test_a_page_has_each_group_of_options_once(capsys: pytest.CaptureFixture[str], name: str) -> None:
    titles = re.findall(r"^([A-Z][^\n]*):$", printed(capsys, name, "--help"), re.MULTILINE)
    assert {"Where to send", "The batch", "What is written"} < set(titles)
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.settings is not None])
def test_a_page_has_only_the_settings_of_its_command(capsys: pytest.CaptureFixture[str], name: str) -> None:
    page = printed(capsys, name, "--help")
    settings = COMMANDS[name].settings
    assert settings is not None
    shown = {option for option in Settings.model_fields if flag_of(option) in flags_on(page)}
    assert shown == {option for option in settings if not option_of(Settings.model_fields[option]).secret}


@pytest.mark.parametrize(("name", "without"), [("resume", {"--spool"}), ("reconcile", {"--spool", "--rejects"})])
def test_a_page_has_no_option_without_effect(capsys: pytest.CaptureFixture[str], name: str, without: set[str]) -> None:
    shown = flags_on(printed(capsys, name, "--help"))
    assert not shown & without
    assert shown > {"--region", "--state", "--rate", "--give-up-after", "--log"}


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("run", "default"),
        ("resume", "default"),
        ("results", "all batches"),
        ("reconcile", "all batches of this target"),
    ],
)
def test_the_page_says_which_batch_is_used_without_the_option(
    capsys: pytest.CaptureFixture[str], name: str, default: str
) -> None:
    page = " ".join(printed(capsys, name, "--help").split())
    assert f"[env: INGESTOR_BATCH] [default: {default}]" in page


def test_simulate_and_results_have_their_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "simulate", "--help")
    assert flags_on(page) == {flag_of(option) for option in SimulateOptions.model_fields}
    assert "INGESTOR_" not in page
    page = printed(capsys, "results", "--help")
    assert flags_on(page) >= {flag_of(option) for option in ResultsOptions.model_fields}


def test_the_page_of_simulate_shows_how_every_limiter_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "simulate", "--help")
    for name, kind in KINDS.items():
        assert f"\n  {name}:{kind.form}\n      {kind.purpose}\n" in page


@pytest.mark.parametrize("model", [Settings, ResultsOptions, SimulateOptions])
def test_every_option_is_described(model: type[Settings | ResultsOptions | SimulateOptions]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name


def test_help_shows_choices_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    page = " ".join(printed(capsys, "run", "-h").split())
    assert "One of auto, on, off." in page
    assert "[env: INGESTOR_CONCURRENCY] [default: auto]" in page
    assert "[default: STATE/log.jsonl]" in page


@pytest.mark.parametrize("words", [[], ["run"], ["check"], ["status"], ["results"], ["simulate"], ["config"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys\nfrom ingestor.cli.main import main\n"
        f"assert main({[*words, '--help']!r}) == 0\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules = set(done.stderr.split())
    assert "ingestor.cli.main" in modules
    assert not modules & HEAVY
    if not words:
        assert not modules & {"pydantic", "pydantic_settings", "argparse", "asyncio"}


def test_help_is_printed_even_if_there_are_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "run", "--bogus", "--help").startswith("usage: ingestor run")


def test_options_of_results_and_settings_have_different_names() -> None:
    assert not ResultsOptions.model_fields.keys() & Settings.model_fields.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_page_are_command_lines_that_parse(name: str) -> None:
    for example, _ in COMMANDS[name].examples:
        command, *words = example.partition("ingestor ")[2].replace("\\\n", "").split(" > ")[0].split()
        parser_of(COMMANDS[command]).read(words)


def test_the_resumable_commands_are_those_that_can_end_as_stopped() -> None:
    texts = {name: command.exit_codes.get(ExitCode.STOPPED, "") for name, command in COMMANDS.items()}
    assert {name for name, text in texts.items() if text.startswith("stopped early")} == RESUMABLE
