"""`ingestor doctor`, from its settings to what is examined. Settings that can't be used are findings too."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ingestor.api.redaction import Redactor
from ingestor.api.values import MASK
from ingestor.app.doctor.doctor import doctor as examine
from ingestor.app.doctor.subject import Facts, Setting, Subject
from ingestor.app.options import STDOUT
from ingestor.cli.commands import options_of
from ingestor.cli.target import target_of, tokens_of
from ingestor.model.errors import ExitCode, UsageError
from ingestor.model.text import WHOLE
from ingestor.server.address import Address, address
from ingestor.settings.commands import DoctorOptions
from ingestor.settings.load import Loaded, load
from ingestor.settings.options import Settings, flag_of, option_of
from ingestor.settings.rules import target_problems
from ingestor.settings.values import Output
from ingestor.settings.wording import shown


def doctor(own: DoctorOptions, settings: Mapping[str, object], config: str | None, sources: Sequence[str]) -> ExitCode:
    """Examine a set-up and print what was found."""
    try:
        loaded = load(settings, config)
    except UsageError as error:
        subject = Subject(problems=str(error).splitlines(), sources=sources, offline=own.offline)
        return examine(subject, Facts(), json=settings.get("output") == Output.JSON)
    facts = Facts(redactor=Redactor(_secrets(loaded.settings)))
    return examine(_subject(loaded, sources, own), facts, json=loaded.settings.output is Output.JSON)


def _subject(loaded: Loaded, sources: Sequence[str], own: DoctorOptions) -> Subject:
    target, no_target = None, list(target_problems(dict(loaded.settings), loaded.spell))
    if not no_target:
        try:
            target = target_of(loaded.settings)
        except UsageError as error:
            no_target = str(error).splitlines()
    return Subject(
        settings={name: _setting(loaded, name) for name in Settings.model_fields if name in loaded.given},
        warnings=loaded.warnings,
        options=options_of(loaded.settings),
        target=target,
        no_target=no_target,
        sources=sources,
        follows=loaded.settings.follow,
        files=_files(loaded),
        addresses=_addresses(loaded.settings),
        tokens=tokens_of(loaded.settings),
        offline=own.offline,
    )


def _files(loaded: Loaded) -> dict[str, Path]:
    files = {
        name: getattr(loaded.settings, name) for name in ("log", "rejects", "metrics_file") if name in loaded.given
    }
    return {flag_of(name): path for name, path in files.items() if path not in (None, STDOUT)}


def _addresses(settings: Settings) -> dict[str, Address]:
    given = {"--accept": settings.accept, "--listen": settings.listen}
    return {option: address(text) for option, text in given.items() if text is not None}


def _setting(loaded: Loaded, name: str) -> Setting:
    is_secret = option_of(Settings.model_fields[name]).secret
    value = loaded.settings.model_dump(mode="json", include={name})[name]
    return Setting(MASK if is_secret else shown(value, WHOLE), loaded.given[name].name)


def _secrets(settings: Settings) -> list[str]:
    values = (settings.oci_passphrase, settings.bearer_token, settings.basic_password)
    return [it.get_secret_value() for it in values if it is not None]
