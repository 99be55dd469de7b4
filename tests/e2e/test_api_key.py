"""OCI's API keys end to end: a configuration file, a signature on every request, and a service that checks it."""

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, at
from tests.e2e.proof import assert_each_is_one_run
from tests.e2e.test_halt import MAX_REFUSALS, assert_nothing_failed

TENANCY, USER = "ocid1.tenancy.oc1..aaaatenancy", "ocid1.user.oc1..aaaauser"
FINGERPRINT = ":".join(["ab"] * 16)
PASSPHRASE = "open sesame"

WANTED = list(records(20))


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def other_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def checks(program: Program, key: RSAPrivateKey) -> SimulatorOptions:
    """Return a service that knows the public part of `key`."""
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    file = program.folder / program.write("public.pem", public)
    return SimulatorOptions(public_key_file=file, key_id=f"{TENANCY}/{USER}/{FINGERPRINT}")


def write_key(program: Program, key: RSAPrivateKey, passphrase: str | None = None) -> None:
    """Write the key that the profile names."""
    sealed = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    program.write("key.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))


def write_config(program: Program, *more: str) -> str:
    """Write the OCI configuration file, and return its name."""
    fields = {"tenancy": TENANCY, "user": USER, "fingerprint": FINGERPRINT, "key_file": program.folder / "key.pem"}
    lines = ["[DEFAULT]", "region=us-ashburn-1", *(f"{name}={value}" for name, value in fields.items()), *more]
    return program.write("oci.cfg", "\n".join(lines).encode())


async def test_the_service_accepts_the_right_key_and_a_wrong_key_costs_nothing(
    program: Program, key: RSAPrivateKey, other_key: RSAPrivateKey
) -> None:
    source = program.write("runs.jsonl", WANTED)
    write_key(program, other_key)
    async with Simulator(checks(program, key)) as simulator:
        command = (*at(simulator), "--oci-config", write_config(program), source)

        ended = await program.ingest(*command)

        await assert_nothing_failed(program, ended)
        assert simulator.statistics.requests <= MAX_REFUSALS
        assert simulator.statistics.statuses.keys() == {401}
        assert "401 NotAuthenticated" in ended.summary["halted"]["reason"]
        assert "--oci-profile" in ended.summary["halted"]["advice"]

        write_key(program, key)
        ended = await program.ingest(*command)
        assert ended.code == 0, ended.stdout
        assert_each_is_one_run(simulator, WANTED, program.rows())


@pytest.mark.parametrize(
    ("in_profile", "variables"),
    [([f"pass_phrase={PASSPHRASE}"], {}), ([], {"INGESTOR_OCI_PASSPHRASE": PASSPHRASE})],
    ids=["in the profile", "in the environment"],
)
async def test_a_passphrase_decrypts_the_key(
    program: Program, key: RSAPrivateKey, in_profile: list[str], variables: dict[str, str]
) -> None:
    source = program.write("runs.jsonl", WANTED)
    write_key(program, key, PASSPHRASE)
    async with Simulator(checks(program, key)) as simulator:
        command = ("run", *at(simulator), "--oci-config", write_config(program, *in_profile), source)

        ended = await program.run(*command, env=variables)

        assert ended.code == 0, ended.stderr
        assert_each_is_one_run(simulator, WANTED, program.rows())
    written = [path.read_bytes() for path in (program.folder / ".ingestor").iterdir()]
    assert not any(PASSPHRASE.encode() in data for data in written)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--oci-config", "nowhere.cfg"), "nowhere.cfg: there is no readable OCI config file"),
        (("--oci-config", "oci.cfg", "--oci-profile", "ABSENT"), "there is no profile [ABSENT]"),
        (("--oci-config", "oci.cfg"), "key_file names a file that does not exist"),
    ],
    ids=["no file", "no profile", "no key"],
)
async def test_missing_credentials_are_named_before_anything_is_sent(
    program: Program, simulator: Simulator, words: tuple[str, ...], message: str
) -> None:
    write_config(program)

    ended = await program.run("run", *at(simulator), *words, program.write("runs.jsonl", WANTED))

    assert ended.code == 4
    assert message in ended.stderr
    assert simulator.statistics.requests == 0
