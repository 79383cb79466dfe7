"""Where an embedded Ray has its files: private, short, gone at the end, also after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from raydnn.errors import ClusterError
from raydnn.launch.engine.session import session_folder as module
from raydnn.launch.engine.session.session_folder import TOKEN, VARIABLES, session_folder, token_in


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that counts as short."""
    monkeypatch.setattr(module, "LONGEST", len(os.fsencode(tmp_path)) + 2)
    return tmp_path


def test_it_is_private_and_goes_at_the_end() -> None:
    with session_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.parent == Path("/tmp")
        (folder / "session").mkdir()
    assert not folder.exists()


def test_a_socket_fits_wherever_the_folder_may_be() -> None:
    """Ray's session folder in it, and the longest name of a socket in that."""
    with session_folder() as folder:
        name = len("/session_2026-11-27_13-45-20_123456_4194304/sockets/plasma_store")
    assert module.LONGEST + len(os.fsencode(folder)) - len("/tmp") + name <= 107


@pytest.mark.parametrize("variable", VARIABLES)
def test_the_environment_says_where(variable: str, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, str(short))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with session_folder() as folder:
            assert folder.parent == short


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(
    ("place", "why"),
    [("/tmp/" + "x" * 100, "is longer than"), ("/proc/none", "is no folder"), ("/proc", "cannot be written")],
)
def test_where_it_cannot_be_it_is_elsewhere_and_that_is_told(
    variable: str, place: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, place)
    with pytest.warns(UserWarning, match=f"{variable}={place}: {why}"), session_folder() as folder:
        assert folder.parent == Path("/tmp")


def test_a_full_disk_is_passed_over(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(short))
    monkeypatch.setattr(module, "NEEDED_BYTES", 2**80)
    with pytest.raises(ClusterError, match=r"TMPDIR=.*: has \d+ MiB left; .*set TMPDIR"), session_folder():
        pass


def test_a_token_of_its_own_is_readable_by_its_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    with token_in(tmp_path):
        path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
        assert path == tmp_path / TOKEN
        assert path.stat().st_mode & 0o777 == 0o600
        assert len(path.read_text()) >= 32
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "given")
    with token_in(tmp_path):
        assert os.environ["RAY_AUTH_TOKEN_PATH"] == "given"


KILLED = """
import os, signal, subprocess, sys
from raydnn.launch.engine.session.session_folder import session_folder
with session_folder() as folder:
    command = ["sh", "-c", "exec sleep 60 3> " + str(folder / "log")]
    left = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(folder, left.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_has_left_is_ended_by_the_next(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/tmp")
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, check=False)
    folder, pid = done.stdout.split()
    assert Path(folder).is_dir()
    assert Path(f"/proc/{pid}/cmdline").read_bytes()
    with session_folder() as own, session_folder():
        assert own.is_dir()
        assert not Path(folder).exists()
        # Killed, and perhaps not buried yet.
        assert not Path(f"/proc/{pid}").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()


def test_what_a_process_elsewhere_uses_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers may share a folder for temporary files, and cannot see one another's processes."""
    monkeypatch.setenv("TMPDIR", "/tmp")
    monkeypatch.setattr(module, "this_machine", lambda: "another")
    monkeypatch.setattr(module, "start_ticks", lambda _pid: 1)
    with session_folder() as theirs:
        monkeypatch.undo()
        with session_folder():
            assert theirs.is_dir()
