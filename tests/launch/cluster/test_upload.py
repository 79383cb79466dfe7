"""What of the working folder is sent to a cluster."""

from __future__ import annotations

import os
from pathlib import Path
from zipfile import ZipFile

import pytest

from raydnn.errors import UsageError
from raydnn.launch.cluster import upload
from raydnn.launch.cluster.upload import pack

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


SECRETS = (
    ".env",
    ".env.local",
    "deploy/.env.production",
    ".netrc",
    "id_rsa",
    "keys/ID_ED25519",
    "server.pem",
    "Server.KEY",
    "store.p12",
    ".aws/credentials",
    ".ssh/config",
    ".ray/auth_token",
    ".kube/config",
    ".git/config",
)


def test_no_secret_is_sent_and_what_is_kept_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    for name in (*SECRETS, "job.yaml", "keys/public.txt", "environment.yaml", "ideas.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (folder / ".gitignore").write_text("!.env\n!id_rsa\n")
    upload = pack(folder, tmp_path / "a.zip", needed=[folder / "job.yaml"])
    with ZipFile(tmp_path / "a.zip") as zipped:
        assert sorted(zipped.namelist()) == sorted(
            [".gitignore", "job.yaml", "keys/public.txt", "environment.yaml", "ideas.py"]
        )
    sent, kept = upload.told()
    assert "sends 5 files" in sent
    assert "not sent, since they may hold secrets: .aws, .env" in kept
    with pytest.raises(UsageError, match=r"id_rsa: is not sent .* a name that secrets have"):
        pack(folder, tmp_path / "b.zip", needed=[folder / "id_rsa"])


def test_links_are_followed_only_to_what_is_sent_anyway(tmp_path: Path) -> None:
    folder, outside = tmp_path / "work", tmp_path / "outside"
    for name in ("job.yaml", "src/net.py", "src/deep/a.py", ".env"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (outside / "deep").mkdir(parents=True)
    (outside / "secret").write_text("secret")
    links = {
        "out_file": outside / "secret",
        "out_folder": outside,
        "up": Path(".."),
        "innocent": Path(".env"),
        "network.py": Path("src/net.py"),
        "code": Path("src"),
        "src/back": folder,
        "circle": Path("circle"),
        "twice": folder / "out_file",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    upload = pack(folder, tmp_path / "a.zip", needed=[folder / "network.py"])
    with ZipFile(tmp_path / "a.zip") as zipped:
        texts = {name: zipped.read(name).decode() for name in zipped.namelist()}
    own = {name: name for name in ("job.yaml", "src/net.py", "src/deep/a.py")}
    through = {"network.py": "src/net.py", "code/net.py": "src/net.py", "code/deep/a.py": "src/deep/a.py"}
    back = {f"src/back/{name}": name for name in own}
    assert texts == own | through | back
    assert upload.links == ("circle", "out_file", "out_folder", "twice", "up")
    assert "not sent, since they lead out of the folder: circle" in upload.told()[-1]


def test_what_is_sent_is_told_with_its_size(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    (folder / "nets").mkdir(parents=True)
    (folder / "job.yaml").write_text("x" * 500)
    (folder / "nets/a.bin").write_bytes(bytes(1_500_000))
    (folder / "nets/b.bin").write_bytes(bytes(1_000_000))
    told = pack(folder, tmp_path / "a.zip", needed=[]).told()
    assert told == [f"sends 3 files, 2.5 MB, of {folder}: nets (2.5 MB), job.yaml (0.5 kB)"]


def test_the_largest_files_are_named_wherever_they_are_found(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "LIMIT_BYTES", 1_000_000)
    for number in range(20):
        (folder / f"{number:02d}.bin").write_bytes(bytes(1_000_000 * (number + 1)))
    with pytest.raises(UsageError, match=r"210 MB; the largest files are 19\.bin \(20 MB\), 18\.bin"):
        pack(folder, tmp_path / "a.zip", needed=[])
