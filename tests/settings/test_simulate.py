from pathlib import Path

import pytest

from ingestor.model.errors import UsageError
from ingestor.settings.commands import SimulateOptions
from ingestor.settings.load import from_flags
from ingestor.simulator.limiter_spec import parse_limiter
from ingestor.simulator.options import InjectedFault, RetryAfter, SimulatorOptions


def test_without_flags_the_simulator_is_as_it_comes() -> None:
    options = from_flags(SimulateOptions, {})
    assert (options.host, options.port) == ("127.0.0.1", 8765)
    assert options.service() == SimulatorOptions()


def test_every_flag_reaches_the_simulator() -> None:
    flags = {
        "platform_id": "p",
        "workspace": "w",
        "experiments": "1,2",
        "missing_experiments": "7,8",
        "forbidden": "runs/create",
        "vague_refusals": True,
        "poison": "bad",
        "public_key_file": "key.pem",
        "key_id": "t/u/f",
        "retry_tokens": False,
        "token_life": "60",
        "limit": "200",
        "burst": "0.5",
        "concurrency": "9",
        "limiter": "shed:1%+fixed:30000/min,window=60",
        "retry_after": "date",
        "latency": "0.01",
        "jitter": "0.02",
        "slow": "3",
        "slow_jitter": "2",
        "faults": "error_500=0.05,reset_after=0.02",
        "faults_after": "100",
        "fault_message": "daily quota used up",
        "seed": "42",
    }
    assert set(SimulateOptions.model_fields) - set(flags) == {"host", "port"}
    assert from_flags(SimulateOptions, flags).service() == SimulatorOptions(
        platform_id="p",
        workspace_key="w",
        experiments=frozenset({"1", "2"}),
        missing_experiments=frozenset({"7", "8"}),
        forbidden=frozenset({"runs/create"}),
        vague_refusals=True,
        poison=frozenset({"bad"}),
        public_key_file=Path("key.pem"),
        key_id="t/u/f",
        retry_tokens=False,
        token_life=60,
        rate=200,
        burst=0.5,
        concurrency=9,
        limiter=parse_limiter("shed:1%+fixed:30000/min,window=60"),
        retry_after=RetryAfter.DATE,
        latency=0.01,
        jitter=0.02,
        slow=3,
        slow_jitter=2,
        faults={InjectedFault.ERROR_500: 0.05, InjectedFault.RESET_AFTER: 0.02},
        faults_after=100,
        fault_message="daily quota used up",
        seed=42,
    )


def test_each_429_may_ask_for_the_same_number_of_seconds() -> None:
    assert from_flags(SimulateOptions, {"retry_after": "7"}).service().retry_after == 7


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "example.com", ""])
def test_it_listens_on_this_machine_only(host: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_flags(SimulateOptions, {"host": host})
    assert str(caught.value) == "--host: must be a loopback address, such as 127.0.0.1"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_every_loopback_address_will_do(host: str) -> None:
    assert from_flags(SimulateOptions, {"host": host}).host == host


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"port": "65536"}, "--port: must be at most 65535, got 65536"),
        ({"faults": "error_500=2"}, "--faults: must be at most 1, got 2"),
        ({"faults": "error_500"}, "--faults: must be a number, got ''"),
        ({"limit": "0"}, "--limit: must be greater than 0, got 0"),
        ({"limiter": "shed:5"}, "--limiter: must give 'share' as a share from 0% to 100%, such as 0.5%; got '5'"),
        ({"retry_after": "1.5"}, "--retry-after: must be none, seconds, date or a whole number of seconds"),
        ({"retry_after": "-1"}, "--retry-after: must be none, seconds, date or a whole number of seconds"),
    ],
)
def test_a_flag_that_is_not_usable_is_refused(flags: dict[str, object], complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_flags(SimulateOptions, flags)
    assert str(caught.value) == complaint


def test_an_unknown_fault_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"--faults: must be 'error_500', .* got explosion"):
        from_flags(SimulateOptions, {"faults": "explosion=0.1"})
