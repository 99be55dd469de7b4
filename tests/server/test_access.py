from pathlib import Path

import pytest

from ingestor.model.errors import UsageError
from ingestor.server.access import Access, read_token

TOKEN = "a-token-that-nobody-guesses"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_without_a_token_everybody_is_admitted_where_none_is_required() -> None:
    assert Access().admits({})
    assert not Access(required=True).admits({})
    assert not Access(required=True).is_possible


def test_the_token_in_the_header_is_needed_as_soon_as_there_is_one() -> None:
    access = Access(TOKEN)
    assert access.admits(bearer(TOKEN))
    assert access.admits({"Authorization": f"bearer {TOKEN}"})
    for headers in ({}, bearer("another-token-than-that"), bearer(""), {"Authorization": TOKEN}, bearer(f"{TOKEN}x")):
        assert not access.admits(headers)
    assert not access.admits({"Authorization": f"Basic {TOKEN}"})


def test_the_cookie_admits_a_browser_and_does_not_contain_the_token() -> None:
    access = Access(TOKEN)
    cookie = access.cookie()
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    pair = cookie.partition(";")[0]
    name = pair.partition("=")[0]
    for cookies in (pair, f"other=1; {pair}", f"bad cookie, of; {pair};", f"{name}=x; {pair}"):
        assert access.admits({"Cookie": cookies})
    for cookies in (f"{name}={TOKEN}", f"{name}=", f"{pair}x", f"x{pair}", "\x00;=;;", f"{name}=\udcff"):
        assert not access.admits({"Cookie": cookies})


def test_servers_on_other_ports_with_other_tokens_do_not_replace_each_others_cookies() -> None:
    ours, others = Access(TOKEN).cookie(), Access("another-token-than-that").cookie()
    assert ours.partition("=")[0] != others.partition("=")[0]
    assert not Access(TOKEN).admits({"Cookie": others.partition(";")[0]})


def test_a_token_is_one_line_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file, "VARIABLE") == TOKEN


@pytest.mark.parametrize("content", [b"", b"short", b"two words of a token", b"\xff" * 20, b"x" * 20_000, b"\0" * 20])
def test_a_file_without_a_usable_token_is_named_and_its_content_is_not_shown(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"VARIABLE: .*token must hold one token") as caught:
        read_token(file, "VARIABLE")
    assert content.decode("latin-1")[:10] not in str(caught.value) or not content


def test_a_missing_token_file_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"VARIABLE: .* can't be read: No such file"):
        Access.from_file(tmp_path / "missing", "VARIABLE", required=True)
    assert Access.from_file(None, "VARIABLE", required=False).admits({})
