import socket

import pytest
from django.core.management import CommandError, call_command

from amazonsender.stack.supervisor import Supervisor


def test_a_port_that_another_program_has_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(Supervisor, "run", started.append)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(CommandError, match=f"listens on port {port}"):
            call_command("runstack", "--port", str(port))

    assert started == []


def test_a_command_is_needed_to_end_after_it() -> None:
    with pytest.raises(CommandError, match="--exit needs --then"):
        call_command("runstack", "--exit")
