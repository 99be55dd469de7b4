"""What `ingestor --help` prints. Plain text, so that it appears at once."""

from ingestor.cli.command import listed
from ingestor.cli.exit_codes import RUN_CODES
from ingestor.cli.pages import COMMANDS, TO_THE_SIMULATOR


def front_page() -> str:
    """Return it."""
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
  {TO_THE_SIMULATOR}
  ingestor results

Settings: every option has one name everywhere. --platform-id is INGESTOR_PLATFORM_ID in the environment and
platform_id in the TOML file that --config or INGESTOR_CONFIG names. Flags override environment variables, which
override the file. Secrets can't be given as flags.

{listed(RUN_CODES)}"""
