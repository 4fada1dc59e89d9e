import os
import socket
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from amazonsender.embedded.errors import EmbeddedError
from amazonsender.embedded.home import Home, find_home, free_port, listen_on, reachable


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, as_root=False)


def test_a_secret_is_made_once_and_only_its_owner_may_read_it(home: Home) -> None:
    first = home.secret("secret_key")

    assert len(first) == 64
    assert home.secret("secret_key") == first
    assert home.secret("token_key") != first
    assert stat.S_IMODE((home.path / "secrets.json").stat().st_mode) == 0o600


def test_a_port_is_kept_for_the_next_start(home: Home) -> None:
    first = home.port("web", preferred=18300)

    assert first >= 18300
    assert home.port("web", preferred=18400) == first


def test_a_taken_port_gives_way_to_the_next_free_one_which_is_then_kept(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        chosen = home.port("web", preferred=port)

    assert port < chosen < port + 50
    assert home.port("web", preferred=port) == chosen


def test_two_clones_that_start_at_once_choose_different_ports(
    home: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Preparing the database takes half a minute, and only then does a server listen."""
    with home.hold_port("localses", host="127.0.0.1", preferred=18500) as held:
        port = held.getsockname()[1]
        other = Home(tmp_path_factory.mktemp("other"), as_root=False)

        assert listen_on("127.0.0.1", port) is None
        assert other.port("localses", preferred=port) > port

    assert home.port("localses", preferred=18500) == port


@pytest.mark.parametrize("port", [70_000, -1])
def test_a_port_that_does_not_exist_cannot_be_had(port: int) -> None:
    assert listen_on("127.0.0.1", port) is None


def test_a_kept_port_that_another_program_took_is_replaced(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amazonsender.embedded.home.KEPT_PORT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        home.remember("web_port", str(port))

        assert home.port("web", preferred=port) != port


def test_a_kept_port_is_waited_for_while_a_killed_run_still_ends(home: Home) -> None:
    closing = socket.create_server(("127.0.0.1", 0))
    port = closing.getsockname()[1]
    home.remember("web_port", str(port))
    threading.Timer(0.3, closing.close).start()

    assert home.port("web", preferred=18300) == port


def test_a_port_of_a_server_that_just_ended_counts_as_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()

    assert free_port("127.0.0.1", port) == port


def test_only_one_process_has_the_folder_and_others_learn_which(home: Home) -> None:
    lock = home.lock()

    assert lock is not None
    assert home.lock() is None
    assert home.lock_holder() == os.getpid()

    lock.close()
    assert home.lock_holder() is None


def test_a_folder_named_by_the_person_is_made_and_closed_to_others() -> None:
    # Not pytest's tmp_path, which the unprivileged user can't pass through.
    with tempfile.TemporaryDirectory(prefix="amazonsender-test-") as folder:
        Path(folder).chmod(0o755)

        home = find_home(Path(folder) / "data")

        assert home.path == Path(folder) / "data"
        assert stat.S_IMODE(home.path.stat().st_mode) & 0o066 == 0


def test_a_folder_below_a_closed_one_cannot_be_reached_by_the_unprivileged_user(tmp_path: Path) -> None:
    closed = tmp_path / "root"
    closed.mkdir(mode=0o700)

    assert not reachable(closed / "clone", as_root=True)
    assert reachable(closed / "clone", as_root=False)


def test_a_link_that_somebody_else_may_have_put_there_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(EmbeddedError, match="DEMO_DATA_DIR"):
        find_home(tmp_path / "data")


def test_a_damaged_file_says_how_to_start_over(home: Home) -> None:
    (home.path / "state.json").write_text("{")

    with pytest.raises(EmbeddedError, match=r"run\.py wipe"):
        home.remembered("web_port")
