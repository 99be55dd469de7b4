"""What a halt says: the whole reason, and advice that names the options that were used."""

import pytest

from ingestor.model.reply import Fault, Reply
from ingestor.policy.advice import (
    Access,
    credentials_halt,
    give_up_reason,
    malformed_halt,
    pause_reason,
    refused_halt,
    unanswered_halt,
    unreached_halt,
    words,
)

DENIED = Reply(status=401, code="NotAuthenticated", message="no")
AIDP_ONLY = ("--platform-id", "--workspace", "--region", "--oci", "tenancy", "fingerprint")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            Reply(status=429, code="TooManyRequests", message="daily quota used up."),
            "429 TooManyRequests: daily quota used up",
        ),
        (Reply(status=502), "502"),
        (Reply(fault=Fault.TIMEOUT), "timeout"),
        (Reply(fault=Fault.DNS, message="the host does not resolve"), "dns: the host does not resolve"),
        (Reply(fault=Fault.REFUSED, message="connection refused"), "connection refused"),
    ],
)
def test_the_services_own_words_are_given(reply: Reply, expected: str) -> None:
    assert words(reply) == expected


def test_a_reason_of_some_length_is_not_cut() -> None:
    message = "certificate verify failed: " + "x" * 200 + " self-signed certificate"
    assert "self-signed certificate" in unreached_halt(Reply(fault=Fault.TLS, message=message), Access()).reason


@pytest.mark.parametrize(
    ("auth", "word"),
    [
        ("api-key", "--auth session-token"),
        ("session-token", "oci session"),
        ("instance-principal", "dynamic group"),
        ("resource-principal", "dynamic group"),
        ("workload-identity", "service account"),
        ("bearer", "token"),
        ("basic", "password"),
        ("none", "choose"),
    ],
)
def test_advice_about_refused_credentials_is_about_their_kind(auth: str, word: str) -> None:
    advice = credentials_halt(DENIED, Access(auth=auth)).advice
    assert word in advice
    assert "--auth" in advice


@pytest.mark.parametrize("auth", ["none", "basic", "bearer"])
def test_advice_for_a_tracking_server_speaks_of_nothing_that_only_oci_has(auth: str) -> None:
    access = Access(auth=auth, is_aidp=False)
    halts = [
        credentials_halt(DENIED, access),
        refused_halt(Reply(status=404, code="NOT_FOUND"), access),
        refused_halt(Reply(status=404), access),
        unreached_halt(Reply(fault=Fault.DNS), access),
        unreached_halt(Reply(fault=Fault.TLS), access),
        unanswered_halt(25.0, access),
    ]
    for halt in halts:
        assert not any(word in halt.advice for word in AIDP_ONLY), halt.advice
    assert all("--tracking-uri" in halt.advice for halt in halts[1:])


def test_a_server_without_credentials_is_told_the_variables_of_mlflow() -> None:
    advice = credentials_halt(DENIED, Access(auth="none", is_aidp=False)).advice
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        assert name in advice


def test_malformed_answers_are_said_to_be_answers_and_the_problem_is_named_once() -> None:
    reply = Reply(
        fault=Fault.MALFORMED, message="the service answers, but the answer is malformed: Duplicate Content-Length"
    )
    halt = malformed_halt(reply)
    assert halt.reason == "The service answers, but its answers are malformed: Duplicate Content-Length."
    assert "proxy in between" in halt.advice


def test_an_answer_of_another_program_is_not_called_silence() -> None:
    reply = Reply(fault=Fault.GARBLED, message="the answer is not HTTP; it begins with SSH-2.0-OpenSSH_9.6")
    halt = unreached_halt(reply, Access(is_aidp=False))
    assert halt.reason.startswith("Something answers, but not as the API does: garbled: the answer is not HTTP;")
    assert halt.advice == "Check host and port in --tracking-uri, and any proxies in between."


@pytest.mark.parametrize(
    ("reply", "pause", "end"),
    [
        (
            Reply(status=429, message="quota"),
            "every request is refused (still trying): 429: quota",
            "every request was refused",
        ),
        (Reply(status=503, message="busy"), "the service is down: 503: busy", "the service was down"),
        (Reply(fault=Fault.RESET), "the service is down: reset", "the service was down"),
    ],
)
def test_a_service_that_refuses_is_told_from_one_that_is_down(reply: Reply, pause: str, end: str) -> None:
    assert pause_reason(reply) == pause
    assert give_up_reason(reply) == f"{end} for longer than --give-up-after: {words(reply)}"


@pytest.mark.parametrize("access", [Access(), Access(is_aidp=False)])
def test_the_halt_of_a_target_that_has_runs_says_what_may_have_been_lost(access: Access) -> None:
    halt = refused_halt(Reply(status=403, code="NotAuthorized", message="no"), access, has_runs=True)
    assert "Every record" not in halt.reason
    assert "experiments" not in halt.advice
    assert "still" in halt.advice
    assert access.is_aidp or not any(word in halt.advice for word in AIDP_ONLY)


def test_the_halt_of_a_target_that_has_runs_names_the_proxy_where_the_answer_is_not_that_of_the_api() -> None:
    assert "proxies" in refused_halt(Reply(status=404, message="not here"), has_runs=True).advice
