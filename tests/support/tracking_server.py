"""A tracking server on loopback that does little more than create runs. It listens on several addresses."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class TrackingServer:
    """Attributes: `urls`, one for each address; `bodies`, of the runs that were created, in order."""

    urls: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of the runs that were created, in their alphabetical order."""
        return sorted(body["run_name"] for body in self.bodies)


@contextmanager
def tracking_server(*hosts: str) -> Iterator[TrackingServer]:
    """Serve on a free port of each of these addresses of this machine."""
    served = TrackingServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("/runs/create"):
                served.bodies.append(body)
                info = {"run_id": f"{len(served.bodies):032x}", "experiment_id": body.get("experiment_id")}
                self._answer({"run": {"info": info, "data": {}}})
            else:
                self._answer({})

        def do_GET(self) -> None:
            self._answer({"experiments": []})

        def _answer(self, document: dict[str, Any]) -> None:
            content = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the library
            """Print nothing."""

    servers = [ThreadingHTTPServer((host, 0), Handler) for host in hosts]
    served.urls = [f"http://{host}:{server.server_address[1]}" for host, server in zip(hosts, servers, strict=True)]
    threads = [Thread(target=server.serve_forever, args=(0.02,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield served
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()
