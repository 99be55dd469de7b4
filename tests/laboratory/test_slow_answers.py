"""A service without a limit that answers some requests late or never, or becomes slow for all."""

import pytest

from tests.laboratory.simulation import Late, Service
from tests.laboratory.slow_answers import SlowAnswers, send_for_a_minute, try_slow_answers

MACHINE = 600.0


@pytest.mark.parametrize(
    ("late", "required"),
    [
        pytest.param(Late(0.02, 0.0, 3.0), 0.90, id="2 % take 0 to 3 s"),
        pytest.param(Late(0.002), 0.90, id="0.2 % are never answered"),
        pytest.param(Late(0.01), 0.90, id="1 % are never answered"),
        pytest.param(Late(0.05), 0.70, id="5 % are never answered"),
    ],
)
def test_answers_that_are_late_or_missing_hardly_slow_the_others_down(late: Late, required: float) -> None:
    answered = try_slow_answers(SlowAnswers("", late, required), 1, machine=MACHINE)
    assert answered.share >= required
    assert answered.attempts <= 1.01 + late.share, "an attempt that is late or hung is made once more"


def test_a_service_that_becomes_slow_for_all_is_not_hammered() -> None:
    slow_from = 20.0
    client = send_for_a_minute(Service(latency=lambda now: 0.03 if now < slow_from else 3.0), 1, machine=100.0)
    assert client.accepted_rate(40, 60) >= 60, "it tries now and then whether fewer in flight are answered sooner"
    assert client.sent <= 1.05 * (sum(client.accepted) + client.in_flight)
    assert client.most_in_flight <= 1.2 * 100 * 3.0
