import gzip
import json
import zlib
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from ingestor.api.wire import BODY_LIMIT, UNCUT, HttpResponse, TransportFailure, reply_to, unpack
from ingestor.model.reply import Fault, Reply
from ingestor.model.request import Operation, Request

NOW = 1_700_000_000.0
CREATE = Request(Operation.CREATE_RUN, b"{}", "token")
SEARCH = Request(Operation.SEARCH_EXPERIMENTS, b"{}", is_repeatable=True)
STEP = Request(Operation.LOG_BATCH, b"{}", "token", is_repeatable=True)
RUN = {"run": {"info": {"run_id": "r-1", "experiment_id": "7"}}}


def answer(status: int = 200, body: object = RUN, **headers: str) -> HttpResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = CIMultiDict((name.replace("_", "-"), value) for name, value in headers.items())
    return HttpResponse(status, fields, raw, 12.5)


def create(status: int = 200, body: object = RUN, **headers: str) -> Reply:
    return reply_to(CREATE, answer(status, body, **headers), "MINE", NOW)


def http_date(time: float) -> str:
    return format_datetime(datetime.fromtimestamp(time, UTC), usegmt=True)


def test_a_success_names_its_run() -> None:
    assert create(OPC_Request_Id="MINE/2/3") == Reply(
        status=200,
        run_id="r-1",
        experiment_id="7",
        opc_request_id="MINE/2/3",
        opc_client_request_id="MINE",
        latency_ms=12.5,
    )


def test_any_2xx_is_a_success_and_the_old_name_of_the_id_counts() -> None:
    assert create(201, {"run": {"info": {"run_uuid": "r-2"}}}).run_id == "r-2"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>ok</html>",
        b'{"run": {"info": {"run_id": "r-',
        b"{}",
        b'{"run":{}}',
        b'{"run":{"info":{}}}',
        b"null",
        b'{"run":{"info":{"run_id":""}}}',
        b'{"run":{"info":{"run_id":null}}}',
        b"[]",
    ],
)
def test_a_success_without_a_run_id_is_reported_and_names_no_run(body: bytes) -> None:
    reply = create(200, body)
    assert reply.status == 200
    assert reply.run_id is None
    assert reply.message.startswith("The answer names no run: ")


def test_a_refusal_never_names_a_run() -> None:
    assert create(500).run_id is None


@pytest.mark.parametrize("name", ["code", "error_code"])
def test_both_error_shapes_give_code_and_message(name: str) -> None:
    reply = create(409, {name: "IncorrectState", "message": "Try\nagain."})
    assert (reply.code, reply.message) == ("IncorrectState", "Try again.")


def test_a_null_code_does_not_hide_the_other_shapes() -> None:
    assert create(404, {"code": None, "error_code": "RESOURCE_DOES_NOT_EXIST"}).code == "RESOURCE_DOES_NOT_EXIST"


def test_html_becomes_one_line_without_a_code() -> None:
    page = b"<html>\r\n<h1>502 Bad\tGateway</h1>\x1b[2J\x00" + b"x" * 20_000
    reply = create(502, page)
    assert reply.code is None
    assert reply.message.startswith("<html> <h1>502 Bad Gateway</h1> [2J xxx")
    assert len(reply.message) == UNCUT


@pytest.mark.parametrize("body", [{"detail": "odd"}, ["odd"], "odd", {"message": ["odd"]}])
def test_json_in_an_unknown_form_becomes_the_message(body: object) -> None:
    assert create(400, body).message == json.dumps(body)


def test_hostile_codes_and_request_ids_are_made_harmless() -> None:
    reply = create(400, {"code": "A\x1b[31m" + "x" * 200, "message": "m"}, opc_request_id="a\udcffb\x1b")
    assert reply.code is not None
    assert reply.code.startswith("A [31m")
    assert len(reply.code) == 100
    assert reply.opc_request_id == "a b"


def test_a_redirection_names_its_destination_without_the_query() -> None:
    assert create(302, b"", Location="https://login.example/x?ticket=secret").message == (
        "Redirected to https://login.example/x"
    )


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("99999999999", 99999999999.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("1_0", None),
        ("٣", None),
        ("9" * 400, None),
    ],
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert create(429, {}, Retry_After=value).retry_after == seconds


def test_retry_after_as_a_date_counts_from_the_services_own_clock() -> None:
    theirs = NOW + 3600
    reply = create(429, {}, Retry_After=http_date(theirs + 30), Date=http_date(theirs))
    assert reply.retry_after == 30.0


def test_retry_after_as_a_date_counts_from_our_clock_where_the_answer_has_no_date() -> None:
    assert create(429, {}, Retry_After=http_date(NOW + 45)).retry_after == 45.0
    assert create(429, {}, Retry_After=http_date(NOW - 45)).retry_after == 0.0


def test_without_retry_after_there_is_none_in_the_reply() -> None:
    assert create(429, {}).retry_after is None


@pytest.mark.parametrize("skew", [-400.0, 0.0, 400.0])
def test_the_clock_skew_is_theirs_minus_ours(skew: float) -> None:
    assert create(Date=http_date(NOW + skew)).clock_skew == skew


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 99 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 99999 22:13:20 GMT"])
def test_a_malformed_date_gives_no_skew(date: str) -> None:
    assert create(Date=date).clock_skew is None


@given(st.text())
def test_any_header_value_can_be_read(text: str) -> None:
    reply = create(503, {}, Date=text, Retry_After=text, opc_request_id=text)
    assert reply.retry_after is None or reply.retry_after >= 0


def raw_deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("X-GZIP", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate)],
)
def test_a_compressed_body_is_decompressed(encoding: str, pack: type[bytes]) -> None:
    assert unpack(pack(b"content"), f" {encoding}", 100) == b"content"


def test_a_decompression_bomb_is_cut_at_the_limit() -> None:
    assert unpack(gzip.compress(b" " * (20 * BODY_LIMIT)), "gzip", BODY_LIMIT) == b" " * BODY_LIMIT


def test_a_body_that_is_not_compressed_as_declared_is_not_changed() -> None:
    assert unpack(b"content", "gzip", 100) == unpack(b"content", "br", 100) == b"content"


def test_a_fault_is_reported_with_its_detail() -> None:
    assert reply_to(CREATE, TransportFailure(Fault.RESET, "gone", 3.0), "MINE", NOW) == Reply(
        fault=Fault.RESET, message="gone", opc_client_request_id="MINE", latency_ms=3.0
    )


def test_a_search_succeeds_without_a_run() -> None:
    reply = reply_to(SEARCH, answer(200, {"experiments": []}), "MINE", NOW)
    assert (reply.status, reply.message, reply.run_id) == (200, "", None)


def test_a_search_that_is_refused_or_fails_has_the_reason() -> None:
    refused = reply_to(SEARCH, answer(401, {"code": "NotAuthenticated", "message": "no"}), "MINE", NOW)
    assert (refused.status, refused.code, refused.message) == (401, "NotAuthenticated", "no")
    assert reply_to(SEARCH, TransportFailure(Fault.DNS, "who", 1.0), "MINE", NOW).fault is Fault.DNS


def test_the_denial_of_mlflows_own_server_has_a_code_though_it_is_plain_text() -> None:
    reply = create(403, b"Permission denied")
    assert (reply.status, reply.code, reply.message) == (403, "PERMISSION_DENIED", "Permission denied")
    assert create(403, b"<html>Permission denied</html>").code is None
    assert create(502, b"Permission denied").code is None


@pytest.mark.parametrize("body", [b"", b"{}", b'{"run_info":{"run_id":"r-1"}}', b"null"])
def test_a_step_succeeds_with_any_2xx_of_the_service(body: bytes) -> None:
    reply = reply_to(STEP, answer(200, body, opc_request_id="MINE/2"), "MINE", NOW)
    assert (reply.status, reply.fault, reply.message, reply.run_id) == (200, None, "", None)
    assert reply.opc_request_id == "MINE/2"


@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b'{"run_info":', b"OK"])
def test_a_page_in_place_of_the_answer_to_a_step_is_a_fault(body: bytes) -> None:
    reply = reply_to(STEP, answer(200, body), "MINE", NOW)
    assert (reply.status, reply.fault) == (None, Fault.GARBLED)
    assert reply.message == f"The answer is not the service's: {body.decode()}"


def test_a_step_that_is_refused_has_the_reason() -> None:
    reply = reply_to(STEP, answer(404, {"code": "NotAuthorizedOrNotFound", "message": "no run"}), "MINE", NOW)
    assert (reply.status, reply.code, reply.message) == (404, "NotAuthorizedOrNotFound", "no run")
