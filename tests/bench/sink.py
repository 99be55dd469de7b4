"""A service that costs almost nothing: nginx on loopback, which answers every request with a new run."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_TIMEOUT = 10.0  # seconds that nginx gets to start

_RUN = (
    '{"run":{"info":{"run_id":"$request_id","run_uuid":"$request_id","experiment_id":"1","run_name":"baseline",'
    '"user_id":"","status":"RUNNING","start_time":1700000000000,"lifecycle_stage":"active",'
    '"artifact_uri":"oci://bucket@namespace/1/$request_id/artifacts"},'
    '"data":{"metrics":[],"params":[],"tags":[]},'
    '"inputs":{"dataset_inputs":[],"model_inputs":[]},"outputs":{"model_outputs":[]}}}'
)

_CONFIGURATION = f"""
daemon off;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    tcp_nodelay on;
    client_max_body_size 0;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:PORT backlog=4096;
        location / {{
            add_header opc-request-id "$http_opc_request_id/$request_id";
            return 200 '{_RUN}';
        }}
    }}
}}
"""


@contextmanager
def sink(folder: Path) -> Iterator[str]:
    """Run the service with its files in `folder`; yield its address. Raises SystemExit where nginx is missing."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise SystemExit(
            "the benchmark needs nginx as its service: apt-get install nginx-light (or brew install nginx)"
        )
    folder.mkdir()
    port = _free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.replace("PORT", str(port)))
    command = (program, "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log"))
    with (
        (folder / "printed").open("wb") as printed,
        subprocess.Popen(command, stdout=printed, stderr=printed) as process,
    ):
        try:
            _wait_for(port, process, folder)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _wait_for(port: int, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    give_up_at = time.monotonic() + _START_TIMEOUT
    while process.poll() is None and time.monotonic() < give_up_at:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise SystemExit(f"nginx did not start: {(folder / 'printed').read_text()[-2000:]}")
