from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from raydnn.data.sources import download
from raydnn.data.sources.download import PUBLICATIONS, Publication, downloaded
from raydnn.errors import DataError
from raydnn.spec.data import FashionMnist, Mnist

CONTENT = {"images.gz": b"pictures" * 300_000, "labels.gz": b"labels"}


class Server(ThreadingHTTPServer):
    requests: list[str]
    folder: Path


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        assert isinstance(self.server, Server)
        self.server.requests.append(self.path)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve the files as the only publication, with an empty cache."""
    folder = tmp_path / "published"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    with Server(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        server.requests, server.folder = [], folder
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        md5 = {name: hashlib.md5(content).hexdigest() for name, content in CONTENT.items()}
        monkeypatch.setitem(PUBLICATIONS, "test", Publication(f"http://127.0.0.1:{server.server_port}/", md5))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield server
        server.shutdown()
        thread.join()


def test_files_are_downloaded_once_with_progress_on_stderr(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = downloaded("test")
    assert folder == tmp_path / "cache" / "raydnn" / "test"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    out, err = capsys.readouterr()
    assert (out, err) == ("", "downloaded images.gz: 2.4 MB\ndownloaded labels.gz: 0.0 MB\n")
    assert downloaded("test") == folder
    assert server.requests == ["/images.gz", "/labels.gz"]


def test_a_damaged_file_is_downloaded_again(server: Server) -> None:
    path = downloaded("test") / "labels.gz"
    path.write_bytes(b"label")
    downloaded("test")
    assert path.read_bytes() == CONTENT["labels.gz"]
    assert server.requests == ["/images.gz", "/labels.gz", "/labels.gz"]


def test_another_file_than_the_published_one_is_not_kept(server: Server, tmp_path: Path) -> None:
    (server.folder / "labels.gz").write_bytes(b"a login page")
    with pytest.raises(DataError, match=r"labels\.gz: not the published file: .* give data\.path"):
        downloaded("test")
    assert [path.name for path in (tmp_path / "cache" / "raydnn" / "test").iterdir()] == ["images.gz"]


def test_a_file_that_is_gone_says_what_to_do(server: Server) -> None:
    (server.folder / "images.gz").unlink()
    with pytest.raises(DataError, match=r"test cannot be downloaded from .*404.*; give data\.path") as error:
        downloaded("test")
    assert "\n" not in str(error.value)


def test_a_transfer_that_breaks_off_leaves_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise ConnectionResetError("connection reset by peer")

    monkeypatch.setattr(download, "_copy", broken)
    with pytest.raises(DataError, match="connection reset by peer"):
        downloaded("test")
    assert list((tmp_path / "cache" / "raydnn" / "test").iterdir()) == []


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    monkeypatch.setitem(PUBLICATIONS, "test", Publication(address, {"labels.gz": "0"}))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(DataError, match=r"test cannot be downloaded .*refused; give data\.path"):
        downloaded("test")


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raydnn").write_text("a file where a folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DataError, match=f"into {tmp_path}/raydnn/mnist: "):
        downloaded("mnist")


def test_the_data_sets_with_a_null_path_are_published_as_idx_files() -> None:
    assert set(PUBLICATIONS) == {Mnist().name, FashionMnist().name}
    for publication in PUBLICATIONS.values():
        assert publication.address.startswith("https://")
        assert set(publication.md5) == {
            f"{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")
        }
