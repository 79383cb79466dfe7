"""Submitting to a real Ray head that asks for a token; a stub stands in for `raydnn train` and `sweep`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from raydnn.cli.main import main
from raydnn.errors import ClusterError, JobError, NotFoundError, UsageError
from raydnn.launch.cluster import submitting
from raydnn.launch.cluster.address import Cluster, connect
from raydnn.launch.cluster.job_client import job_state, list_jobs, open_client, stop_job
from raydnn.launch.cluster.job_logs import follow_logs, read_logs
from raydnn.launch.cluster.submissions import recall
from raydnn.spec.reading.load import load_job

STUB = """
import json, os, signal, sys, time

print("arguments", json.dumps(sys.argv[1:]), flush=True)
print("sees", sorted(os.listdir(".")), os.environ.get("RAY_AUTH_MODE"), "no line end", end="", flush=True)
if "seed=99" in sys.argv:
    import ray
    ray.init("auto", log_to_driver=False, logging_level="ERROR")
    print("\\nwaits", flush=True)
    time.sleep(100)
sys.exit(next((int(a[5:]) for a in sys.argv if a.startswith("seed=")), 0))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a job, a stub for the program, and things that are not to be sent."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "job.yaml").write_text("name: digits\ndata: digits\noptimizer: {name: sgd, lr: 0.1}\n")
    (work / "stub.py").write_text(STUB)
    (work / ".git").mkdir()
    (work / ".git" / "config").write_text("secret")
    (work / "results").mkdir()
    (work / "results" / "old").write_text("old")
    monkeypatch.chdir(work)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(submitting, "PROGRAM", ("python", "stub.py"))
    return work


@pytest.mark.ray
def test_submits_follows_and_takes_the_exit_code(
    head: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = (
        "data={name: digits, validation_fraction: 0.3}  # '; touch broken; $(touch broken) `touch broken`"
    )
    with pytest.raises(SystemExit) as exit_info:
        main(["submit", "job.yaml", "seed=5", hostile, "--address", head])
    captured = capsys.readouterr()
    run_id = captured.out.strip()
    assert exit_info.value.code == 5, captured.err
    assert f"{run_id} FAILED: Job entrypoint command failed with exit code 5\n" in captured.err
    line = next(line for line in captured.err.splitlines() if line.startswith("arguments "))
    arguments = json.loads(line.removeprefix("arguments "))
    assert arguments[:6] == ["train", "--run-id", run_id, "--address", "auto", "--"]
    assert arguments[6:9] == ["job.yaml", "seed=5", hostile]
    assert arguments[9] == f'storage="{folder / "results"}"'
    assert "sees ['job.yaml', 'stub.py'] token no line end\n" in captured.err
    found = recall(run_id)
    assert found is not None
    assert found.address == head
    (state,) = (folder.parent / "state/raydnn/submissions").iterdir()
    assert state.stat().st_mode & 0o777 == 0o600
    assert Path(os.environ["RAY_AUTH_TOKEN_PATH"]).read_text() not in state.read_text()
    assert job_state(connect(head, unauthenticated=False), run_id).driver_exit_code == 5

    for command in (["logs", run_id], ["logs", run_id, "-f"]):
        with pytest.raises(SystemExit) as exit_info:
            main(command)
        assert exit_info.value.code == 0
        assert line in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["status", run_id, "-o", "json"])
    shown = json.loads(capsys.readouterr().out)
    assert (shown["state"], shown["exit_code"], shown["cluster"]) == ("FAILED", 5, head)
    with pytest.raises(SystemExit):
        main(["status", "--address", head, "-o", "json"])
    assert run_id in [row["run_id"] for row in json.loads(capsys.readouterr().out)]


@pytest.mark.ray
def test_stops_a_run_that_is_followed_and_hides_the_stack_trace(head: str, folder: Path) -> None:
    cluster = _submit(head, "digits-stop", "seed=99")
    lines: list[str] = []
    waits = threading.Event()

    def write(line: str) -> None:
        lines.append(line)
        if line == "waits\n":
            waits.set()

    def stop() -> None:
        assert waits.wait(60)
        assert stop_job(cluster, "digits-stop")

    stopper = threading.Thread(target=stop)
    stopper.start()
    state = follow_logs(cluster, "digits-stop", write)
    stopper.join()
    assert (state.status, state.exit_code) == ("STOPPED", 130)
    assert "SIGTERM received" in open_client(cluster).get_job_logs("digits-stop")
    assert "SIGTERM" not in "".join(lines) + read_logs(cluster, "digits-stop")
    assert "0x" not in "".join(lines)
    assert not stop_job(cluster, "digits-stop")


@pytest.mark.ray
def test_an_interrupt_while_following_leaves_the_run_alone(
    head: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("raydnn.launch.cluster.job_logs.follow_logs", interrupt)
    with pytest.raises(SystemExit) as exit_info:
        main(["submit", "job.yaml", "seed=99", "--address", head])
    captured = capsys.readouterr()
    run_id = captured.out.strip()
    assert exit_info.value.code == 130
    assert f"raydnn logs {run_id} -f" in captured.err
    cluster = connect(head, unauthenticated=False)
    assert not job_state(cluster, run_id).finished
    with pytest.raises(SystemExit) as exit_info:
        main(["stop", run_id])
    assert exit_info.value.code == 0
    _wait_until_finished(cluster, run_id)
    assert job_state(cluster, run_id).status == "STOPPED"


@pytest.mark.ray
def test_refusals(head: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = _submit(head, "digits-twice", "seed=0")
    with pytest.raises(ClusterError, match="already"):
        _submit(head, "digits-twice", "seed=0")
    _wait_until_finished(cluster, "digits-twice")
    assert job_state(cluster, "digits-twice").exit_code == 0
    assert "digits-twice" in [job.run_id for job in list_jobs(cluster)]
    for ask in (job_state, read_logs, stop_job):
        with pytest.raises(NotFoundError, match="digits-never"):
            ask(cluster, "digits-never")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong" * 10)
    with pytest.raises(ClusterError, match="refuses the token of RAY_AUTH_TOKEN") as wrong:
        connect(head, unauthenticated=False)
    assert "wrongwrong" not in str(wrong.value)
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(folder / "none"))
    with pytest.raises(ClusterError, match=r"needs a token, and .*none cannot be read"):
        connect(head, unauthenticated=False)


def test_the_entrypoint_is_one_command_whatever_the_arguments(tmp_path: Path) -> None:
    hostile = ["a=$(touch broken)", "b='; touch broken; '", "c=\n`touch broken`", "--debug", "d=\\'\"&|<>*?~"]
    script = tmp_path / "print.py"
    script.write_text("import json, sys; print(json.dumps(sys.argv[1:]))")
    line = submitting.entrypoint("train", Path("jobs/a b; c.yaml"), hostile, "r-1")
    assert line.startswith("python -m raydnn train ")
    line = line.replace("python -m raydnn", f"{sys.executable} {script}", 1)
    printed = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, check=True).stdout
    expected = ["train", "--run-id", "r-1", "--address", "auto", "--", "jobs/a b; c.yaml", *hostile]
    assert json.loads(printed) == expected
    assert os.listdir(tmp_path) == ["print.py"]


def test_relative_paths_beyond_loopback_are_refused_all_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "connect", lambda *_, **__: Cluster("http://10.1.2.3:8265"))
    loaded = load_job("job.yaml", ["data={name: mnist, path: data/mnist}"])
    with pytest.raises(JobError) as refused:
        submitting.submit_job("job.yaml", [], loaded, None, "r-1", True, print)
    data, storage = str(refused.value).splitlines()
    assert ": storage: 'results' is relative" in storage
    assert data.startswith("command line: data.path: 'data/mnist' is relative")
    assert not (folder.parent / "state").exists()


def test_a_job_outside_the_current_folder_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "below").mkdir()
    (folder / "below/child.yaml").write_text("extends: ../job.yaml\nseed: 3\n")
    monkeypatch.chdir(folder / "below")
    with pytest.raises(UsageError, match=r"\.\./job\.yaml: outside the current folder"):
        submitting.submit_job("../job.yaml", [], load_job("../job.yaml"), None, "r-1", False, print)
    with pytest.raises(UsageError, match=r"job\.yaml: outside the current folder"):
        submitting.submit_job("child.yaml", [], load_job("child.yaml"), None, "r-1", False, print)


def _submit(head: str, run_id: str, *overrides: str) -> Cluster:
    return submitting.submit_job(
        "job.yaml", overrides, load_job("job.yaml", overrides), head, run_id, False, print
    )


def _wait_until_finished(cluster: Cluster, run_id: str) -> None:
    deadline = time.monotonic() + 60
    while not job_state(cluster, run_id).finished:
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_data_and_runs_are_named_by_absolute_paths_and_code_by_the_job_file(folder: Path) -> None:
    (folder / "jobs").mkdir()
    text = (
        (folder / "job.yaml").read_text().replace("data: digits", "data: {name: csv, path: a.csv, target: y}")
    )
    code = "model: {name: module, path: 'net:Net'}\n"
    (folder / "jobs/job.yaml").write_text(text + code)
    loaded = load_job("jobs/job.yaml")
    settled = submitting._settled_paths(loaded, Cluster("http://127.0.0.1:8265"), folder)
    assert settled == [f'data.path="{folder}/jobs/a.csv"', f'storage="{folder}/results"']
    assert submitting._local_paths(loaded) == [folder / "results", folder / "jobs/a.csv"]
    (folder / "jobs/job.yaml").write_text(text + code.replace("net:", "../../net:"))
    with pytest.raises(UsageError, match="outside the current folder"):
        submitting._settled_paths(load_job("jobs/job.yaml"), Cluster("http://127.0.0.1:8265"), folder)
