"""The bare loop: aiohttp and cryptography on one core, without a journal, checks or a log.

It signs and sends bodies that were built before, with everything tuned: the most that one sender could reach.
"""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import aiohttp
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from yarl import URL

from ingestor.api.options import aidp
from ingestor.model.request import Operation
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY
from tests.bench.credentials import profile
from tests.bench.process import Task, given_task, timed
from tests.bench.records import Sent, sent_requests

Sign = Callable[[bytes], dict[str, str]]

_AUTOMATIC = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_HEADERS = {
    "user-agent": "bare/1.0",
    "accept": "application/json",
    "accept-encoding": "identity",
    "content-type": "application/json",
}


def signing(oci_config: Path, url: URL) -> Sign:
    """Return a function that signs a body for a URL, with every constant part built before."""
    settings = profile(oci_config)
    key = load_pem_private_key(Path(settings["key_file"]).read_bytes(), password=None)
    assert isinstance(key, RSAPrivateKey)
    padding, digest = PKCS1v15(), SHA256()
    key_id = f"{settings['tenancy']}/{settings['user']}/{settings['fingerprint']}"
    names = "date (request-target) host content-length content-type x-content-sha256"
    target = f"(request-target): post {url.raw_path_qs}\nhost: {url.raw_authority}"
    begin = f'Signature algorithm="rsa-sha256",headers="{names}",keyId="{key_id}",signature="'

    def sign(body: bytes) -> dict[str, str]:
        date, content = formatdate(usegmt=True), base64.b64encode(hashlib.sha256(body).digest()).decode()
        text = (
            f"date: {date}\n{target}\ncontent-length: {len(body)}\n"
            f"content-type: application/json\nx-content-sha256: {content}"
        )
        signature = base64.b64encode(key.sign(text.encode(), padding, digest)).decode()
        return {
            "date": date,
            "host": url.raw_authority,
            "content-length": str(len(body)),
            "x-content-sha256": content,
            "authorization": f'{begin}{signature}",version="1"',
        }

    return sign


def unsigned(_: bytes) -> dict[str, str]:
    """Add nothing."""
    return {}


async def send_all(url: URL, waiting: Iterator[Sent], sign: Sign, workers: int) -> None:
    """Send every request, `workers` at once. Raises SystemExit for a response that is not 200."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=workers),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_AUTOMATIC,
        auto_decompress=False,
    ) as session:

        async def work() -> None:
            for request in waiting:
                fresh = {"opc-request-id": request.token[:32].upper(), "opc-retry-token": request.token}
                headers = _HEADERS | fresh | sign(request.body)
                async with session.post(url, data=request.body, headers=headers, allow_redirects=False) as response:
                    await response.read()
                    if response.status != 200:
                        raise SystemExit(f"the service answered with {response.status}")

        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())


def main(task: Task) -> None:
    """Carry out a task, and print what it took."""
    url = aidp(platform_id=PLATFORM_ID, workspace=WORKSPACE_KEY, endpoint=task.url).url(Operation.CREATE_RUN)
    sign = unsigned if task.oci_config is None else signing(Path(task.oci_config), url)
    waiting = iter(sent_requests(Path(task.records), task.count))
    timed(lambda: asyncio.run(send_all(url, waiting, sign, task.workers)))


if __name__ == "__main__":
    main(given_task())
