"""Run the stub: prints its address on one line, then serves until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import gc
import signal
import socket

from tests.benchmarks.provider_stub.server import Server
from tests.benchmarks.provider_stub.service import Service, Settings
from tests.benchmarks.provider_stub.signature import SignatureChecker


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="provider_stub", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="how long each answer of the provider takes")
    parser.add_argument("--access-key", default="STUB", help="access key that calls must be signed with")
    parser.add_argument("--secret-key", default="stub-secret", help="its secret key")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", options.port), backlog=256)
    service = Service(
        settings=Settings(latency_ms=options.latency_ms),
        checker=SignatureChecker(options.access_key, options.secret_key),
    )
    server = Server(listener, service)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    gc.disable()  # a call's JSON is six hundred objects without a cycle
    server.run()


if __name__ == "__main__":
    main()
