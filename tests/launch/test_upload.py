"""What of the working folder is sent to a cluster."""

from __future__ import annotations

import os
from pathlib import Path
from zipfile import ZipFile

import pytest

from raydnn.errors import UsageError
from raydnn.launch import upload
from raydnn.launch.upload import pack

FILES = {
    "job.yaml": "job",
    "raydnn/data/load.py": "kept: only a top-level data folder is left out",
    "data/train.csv": "no",
    "results/r/trials/a.parquet": "no",
    "out[1]/x": "no: the storage of this job",
    "out1/x": "yes",
    ".git/config": "no",
    "sub/.git/config": "no",
    ".venv/bin/python": "no",
    "pkg/__pycache__/a.pyc": "no",
    ".mypy_cache/x": "no",
    ".gitignore": "*.log\n",
    "run.log": "no",
    ".rayignore": "big\n",
    "big/x": "no",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_sends_code_and_jobs_only(folder: Path, tmp_path: Path) -> None:
    left_out = [folder / "out[1]", tmp_path / "elsewhere", folder]
    pack(folder, tmp_path / "a.zip", needed=[folder / "job.yaml"], left_out=left_out)
    with ZipFile(tmp_path / "a.zip") as zipped:
        assert sorted(zipped.namelist()) == [
            ".gitignore",
            ".rayignore",
            "job.yaml",
            "out1/x",
            "raydnn/data/load.py",
        ]
        assert zipped.read("job.yaml") == b"job"


def test_the_same_files_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "a.zip", needed=[])
    os.utime(folder / "job.yaml", (0, 0))
    pack(folder, tmp_path / "b.zip", needed=[])
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_needed_file_that_is_left_out_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data/train\.csv: is not sent"):
        pack(folder, tmp_path / "a.zip", needed=[folder / "data/train.csv"])


def test_too_much_to_send_names_the_largest(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "LIMIT_BYTES", 3_000_000)
    (folder / "weights.bin").write_bytes(bytes(4_000_000))
    with pytest.raises(UsageError, match=r"more than 3 MB .*weights\.bin \(4 MB\)"):
        pack(folder, tmp_path / "a.zip", needed=[])
    assert not (tmp_path / "a.zip").exists()
