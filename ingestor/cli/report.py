"""`ingestor report`, from its options to what it writes."""

import io
import sys
import time
from collections.abc import Callable

from ingestor.api.values import server_name
from ingestor.app.chosen_batch import choose_batch
from ingestor.app.messages import complain, print_result
from ingestor.app.report import make_report
from ingestor.app.report_file import refuse_other_files, write_report
from ingestor.journal.reader import known_batches
from ingestor.model.errors import ExitCode
from ingestor.model.text import WHOLE, printable
from ingestor.report.batch_text import MARK, as_text
from ingestor.report.html.batch_html import as_html
from ingestor.settings.options import Settings
from ingestor.settings.report_commands import Form, ReportOptions

_HTML_NAMES = (".html", ".htm")
_EVERY = 5.0  # seconds between two lines about how far it is


def report(own: ReportOptions, settings: Settings, batch: str | None) -> int:
    """Write the report of the batch with this name, or of the only one. Raises IngestorError."""
    if own.to is not None and str(own.to) != "-":
        refuse_other_files(own.to, MARK)
    known = known_batches(settings.state)
    chosen = choose_batch(
        known,
        settings.state,
        name=batch,
        platform=settings.platform_id if settings.tracking_uri is None else server_name(settings.tracking_uri),
        workspace=settings.workspace,
    )
    made = make_report(settings.state, known, chosen, saying("rows read"))
    is_html = _form(own) is Form.HTML
    text = as_html(made) if is_html else as_text(made)
    if own.to is None or str(own.to) == "-":
        if is_html and isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # as the page says of itself
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        write_report(own.to, text)
        print_result(f"{printable(str(own.to), WHOLE)} is written.")
    return ExitCode.OK


def saying(what: str) -> Callable[[int], object]:
    """Return what prints a number on standard error, at most one line in a few seconds."""
    last = time.monotonic()

    def say(count: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            complain(f"{count:,} {what}")

    return say


def _form(own: ReportOptions) -> Form:
    if own.format is not None:
        return own.format
    is_html = own.to is not None and own.to.suffix.lower() in _HTML_NAMES
    return Form.HTML if is_html else Form.TEXT
