"""The doctor's checks, each against a condition made for it."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from raydnn.cli.commands import doctor

TOKEN = "a-secret-that-must-not-be-shown"


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_a_sound_machine_is_exit_0(cli, tmp_path: Path) -> None:
    outcome = cli("doctor", "--storage", str(tmp_path / "results"), "-o", "json")
    assert outcome.code == 0
    checks = {row["check"]: row for row in json.loads(outcome.out)}
    assert {
        "python",
        "torch",
        "ray",
        "pyarrow",
        "cpu cores",
        "memory",
        "storage",
        "cluster",
        "auth token",
    } <= set(checks)
    assert not (tmp_path / "results").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_exit_1(cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("no_such_package_of_raydnn",))
    outcome = cli("doctor", "--storage", str(tmp_path))
    assert outcome.code == 1
    assert "cannot be imported" in outcome.out


def test_storage_below_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check = doctor.check_storage(str(tmp_path / "file"))
    assert check.state == "fail"
    assert "--storage" in check.detail


def test_storage_of_an_unknown_kind_fails() -> None:
    assert doctor.check_storage("nosuch://bucket/results").state == "fail"


def test_storage_as_a_uri(tmp_path: Path) -> None:
    assert doctor.check_storage(f"file://{tmp_path}/results").state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_listening_cluster_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert doctor.check_address(f"127.0.0.1:{port}").state == "ok"
        assert doctor.check_address(f"http://127.0.0.1:{port}").state == "ok"
    assert doctor.check_address(f"127.0.0.1:{port}").state == "fail"


@pytest.mark.parametrize("address", ["nonsense", "host:notaport", "host:99999999"])
def test_a_malformed_address_names_what_is_allowed(address: str) -> None:
    check = doctor.check_address(address)
    assert check.state == "fail"
    assert "host:port" in check.detail


@pytest.mark.parametrize("address", ["", "auto"])
def test_no_address_is_fine(address: str) -> None:
    assert doctor.check_address(address).state == "ok"


@pytest.mark.parametrize(("mode", "state"), [(0o600, "ok"), (0o644, "note")])
def test_a_token_file_is_judged_by_its_mode_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int, state: str
) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    os.chmod(path, mode)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    check = doctor.check_token()
    assert check.state == state
    assert ("chmod 600" in check.detail) == (state == "note")
    assert TOKEN not in check.detail


def test_a_token_in_the_environment_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    assert doctor.check_token().state == "ok"
    assert TOKEN not in doctor.check_token().detail


def test_a_named_token_file_that_is_missing_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    assert doctor.check_token().state == "fail"
