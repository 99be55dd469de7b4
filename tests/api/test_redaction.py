import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.api.redaction import PIECE, Redactor
from ingestor.api.values import MASK
from ingestor.model.reply import Reply
from ingestor.model.text import one_line
from tests.api.conftest import FINGERPRINT, TENANCY, USER, jwt

TOKEN = jwt(4_000_000_000, jti="x" * 100) + "=="
BASE64 = "dXNlcjpvcGVuIHNlc2FtZQ+/4Z=="
PASSWORD = 'p"ss & w/rd=<ü>%41\\ 12'

Escape = Callable[[str], str]

ESCAPES: dict[str, Escape] = {
    "as it is": str,
    "as JSON": json.dumps,
    "as JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "as JSON for HTML": lambda text: (
        json.dumps(text).replace("=", "\\u003d").replace("+", "\\u002B").replace("/", "\\/")
    ),
    "as JSON escapes alone": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "with percent signs": lambda text: quote(text, safe=""),
    "with percent signs twice": lambda text: quote(quote(text, safe=""), safe=""),
    "as a form": quote_plus,
    "as HTML": html.escape,
    "as HTML in JSON": lambda text: json.dumps(html.escape(text)),
    "as HTML numbers": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "as HTML hexadecimal numbers": lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    "as Python bytes": lambda text: repr(text.encode()),
}


def pieces(secret: str) -> list[str]:
    return [secret[at : at + PIECE] for at in range(len(secret) - PIECE + 1)]


def forms(text: str) -> list[str]:
    """Return a text, and what a reader may decode from it."""
    found = [text]
    for _ in range(4):
        last = found[-1]
        found += [html.unescape(last), quote_unquoted(last), json_unescaped(last)]
    return found


def quote_unquoted(text: str) -> str:
    from urllib.parse import unquote  # noqa: PLC0415 - beside its only use

    return unquote(text)


def json_unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"')) if '"' not in text else str(json.loads(text))
    except ValueError:
        return text


def assert_clean(text: str, *secrets: str) -> None:
    for form in forms(text):
        for secret in secrets:
            assert not any(piece in form for piece in pieces(secret)), form


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
@pytest.mark.parametrize("secret", [TOKEN, BASE64, PASSWORD], ids=["token", "base64", "password"])
def test_a_secret_is_found_however_it_is_escaped(secret: str, escape: Escape) -> None:
    text = f"refused: {escape(secret)} of {USER}, {FINGERPRINT}"
    redacted = Redactor([secret]).text(text)
    assert_clean(redacted, secret)
    assert MASK in redacted
    assert redacted.startswith("refused: ")
    assert redacted.endswith(f" of {USER}, {FINGERPRINT}")


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
def test_a_piece_of_twelve_characters_is_found_wherever_it_begins(escape: Escape) -> None:
    redactor = Redactor([BASE64])
    for before in range(9):
        for piece in pieces(BASE64):
            redacted = redactor.text("." * before + escape(piece) + " end")
            assert_clean(redacted, BASE64)
            assert redacted.startswith("." * before)
            assert redacted.endswith(" end")


@given(st.text(min_size=PIECE, max_size=40), st.text(max_size=30), st.text(max_size=30))
def test_no_secret_of_any_characters_remains_in_a_line(secret: str, before: str, after: str) -> None:
    line = one_line(f"{before}{secret}{after}")
    redacted = Redactor([secret]).text(line)
    assert not any(piece in redacted.replace(MASK, "") for piece in pieces(secret) if piece.isprintable())


def test_a_whole_key_id_with_a_token_goes_and_an_id_of_an_api_key_stays() -> None:
    redactor = Redactor([f"ST${TOKEN}", TOKEN])
    assert redactor.text(f"keyId ST${TOKEN} has expired") == f"keyId {MASK} has expired"
    assert redactor.text(f"keyId {TENANCY}/{USER}/{FINGERPRINT} unknown") == (
        f"keyId {TENANCY}/{USER}/{FINGERPRINT} unknown"
    )


def test_a_token_of_another_process_is_found_by_its_form() -> None:
    other = jwt(4_000_000_001)
    for redactor in (Redactor(), Redactor([TOKEN])):
        assert redactor.text(f"token ST${other}, expired") == f"token {MASK}, expired"
        assert redactor.text(f"token {other}") == f"token {MASK}"


def test_a_short_secret_is_found_as_a_whole_and_words_that_contain_it_stay() -> None:
    assert Redactor(["hunter2"]).text("the password is hunter2.") == f"the password is {MASK}."
    assert Redactor(["hunter2"]).text("user:hunter2@proxy") == f"user:{MASK}@proxy"
    assert Redactor(["a"]).text("a bad gateway") == f"{MASK} bad gateway"
    assert Redactor([""]).text("nothing is secret") == "nothing is secret"


def test_a_text_without_a_secret_is_returned_unchanged() -> None:
    text = '{"code":"NotFound","message":"50 % of \\"a\\" &amp; caf\\u00e9 %C3%A9"}'
    assert Redactor([TOKEN, PASSWORD, BASE64]).text(text) == text


def test_a_secret_whose_white_space_was_changed_is_found() -> None:
    secret = "correct\thorse  battery staple"
    assert Redactor([secret]).text(one_line(f"is '{secret}' right?")) == f"is '{MASK}' right?"
    assert Redactor(["correct horse battery"]).text("p=correct+horse+battery&x") == f"p={MASK}&x"


def test_a_secret_that_is_cut_short_is_found() -> None:
    assert_clean(Redactor([TOKEN]).text(one_line(f"token {TOKEN * 9}", 60)), TOKEN)
    assert Redactor([BASE64]).text(f"…{BASE64[3:20]}") == f"…{MASK}"


def test_every_field_of_a_reply_is_searched() -> None:
    secret = BASE64
    reply = Reply(
        status=401,
        code=f"Bad {secret}",
        message=json.dumps(secret),
        run_id=f"run-{secret}",
        experiment_id=secret,
        opc_request_id=f"A/{quote(secret)}/B",
        opc_client_request_id="ABC",
        latency_ms=5.0,
    )
    assert Redactor([secret]).reply(reply) == Reply(
        status=401,
        code=f"Bad {MASK}",
        message=f'"{MASK}"',
        run_id=f"run-{MASK}",
        experiment_id=MASK,
        opc_request_id=f"A/{MASK}/B",
        opc_client_request_id="ABC",
        latency_ms=5.0,
    )


def test_the_signature_of_a_request_is_removed_from_its_reply() -> None:
    signature = "c2lnbmF0dXJlIG9mIGEgcmVxdWVzdA=="
    reply = Reply(status=401, message=f'signature="{signature}" does not match')
    assert Redactor().reply(reply, signature).message == f'signature="{MASK}" does not match'


def test_a_reply_without_a_secret_is_the_same_object() -> None:
    reply = Reply(status=200, run_id="0" * 32, experiment_id="7", opc_request_id="A" * 98)
    assert Redactor([TOKEN, PASSWORD]).reply(reply) is reply
    refused = Reply(status=429, code="TooManyRequests", message="Too many requests.")
    assert Redactor([TOKEN]).reply(refused, "signature") is refused


@pytest.mark.parametrize("secret", ["1", "42", "abcd12"])
def test_an_id_that_contains_a_short_secret_by_chance_stays(secret: str) -> None:
    reply = Reply(status=200, run_id=f"9{secret}9" * 4, experiment_id="1")
    assert Redactor([secret]).reply(reply) == reply


def test_an_id_that_is_a_secret_goes() -> None:
    assert Redactor(["hunter2"]).reply(Reply(status=200, run_id="hunter2")).run_id == MASK


@pytest.mark.parametrize("escape", [str, lambda text: text.replace("=", "\\u003d").replace("/", "\\/")])
def test_the_body_of_a_search_stays_json_without_the_secret(escape: Escape) -> None:
    body = json.dumps({"runs": [{"info": {"run_id": f"r-{BASE64}"}}], "n": 12}).replace(BASE64, escape(BASE64)).encode()
    redactor = Redactor([BASE64, "12"])
    assert json.loads(redactor.body(body)) == {"runs": [{"info": {"run_id": f"r-{MASK}"}}], "n": 12}
    clean = b'{"runs": [{"info": {"run_id": "r-1"}}], "n": 12}'
    assert redactor.body(clean) is clean


def test_a_replaced_secret_is_still_known_and_very_old_ones_are_forgotten() -> None:
    redactor = Redactor()
    tokens = [jwt(number) for number in range(4_000_000_000, 4_000_000_200)]
    for token in tokens:
        redactor.add(token)
    assert len(redactor._secrets) < len(tokens)
    assert_clean(redactor.text(f"old {tokens[-2].replace('eyJ', 'xyz')}, new {tokens[-1]}"), tokens[-1])
