"""`python -m localses`: start Local SES with granian on LOCALSES_HOST and LOCALSES_PORT."""

from __future__ import annotations

import os

from granian.constants import Interfaces
from granian.server import Server


def main() -> None:
    """Serve until interrupted. One worker: the desk is one."""
    Server(
        "localses.app:app",
        address=os.environ.get("LOCALSES_HOST", "127.0.0.1"),
        port=int(os.environ.get("LOCALSES_PORT", "8025")),
        interface=Interfaces.ASGI,
        workers=1,
    ).serve()


if __name__ == "__main__":
    main()
