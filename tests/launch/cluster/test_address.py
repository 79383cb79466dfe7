"""Which cluster is meant, and when it is refused; servers of our own stand in for dashboards."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import ray

from raydnn.cli.main import main
from raydnn.errors import ClusterError, UsageError
from raydnn.launch.cluster import address
from raydnn.launch.cluster.address import connect, dashboard_url, is_loopback

Serve = Callable[..., str]


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a dashboard with a Ray version and perhaps a token; keeps the headers it got in `serve.seen`."""
    servers = []

    def start(body: str, token: str | None = None, seen: list[str | None] | None = None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                given = self.headers["Authorization"]
                if seen is not None:
                    seen.append(given)
                ok = token is None or given == f"Bearer {token}"
                self.send_response(200 if ok else 403 if given else 401)
                self.end_headers()
                self.wfile.write(body.encode() if ok else b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


SAME = json.dumps({"ray_version": ray.__version__})


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://head:8265/", "http://head:8265"),
        ("https://ray.example.org/cluster", "https://ray.example.org/cluster"),
        ("head", "http://head:8265"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("[::1]", "http://[::1]:8265"),
    ],
)
def test_dashboard_url(given: str, url: str) -> None:
    assert dashboard_url(given) == url


@pytest.mark.parametrize(
    "given",
    ["auto", "ray://head:10001", "ftp://head", "http://", "http://a b", "http://u:p@head", "h:99999", "h:x"],
)
def test_what_is_no_dashboard_is_refused_with_the_form_that_is(given: str) -> None:
    with pytest.raises(UsageError, match="http://HEAD:8265"):
        dashboard_url(given)


def test_the_environment_is_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="--address"):
        dashboard_url(None)
    monkeypatch.setenv("RAY_ADDRESS", "http://from-environment:8265")
    assert dashboard_url(None) == "http://from-environment:8265"
    assert dashboard_url("http://given:8265") == "http://given:8265"


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.9.9.9:1", True),
        ("http://[::1]:1", True),
        ("http://localhost:1", True),
        ("http://0.0.0.0:1", False),
        ("http://127.0.0.1.example.org:1", False),
        ("http://10.0.0.1:1", False),
    ],
)
def test_loopback(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback


def test_the_token_goes_only_to_a_cluster_that_asks(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    seen: list[str | None] = []
    assert connect(serve(SAME, seen=seen), unauthenticated=False).token is None
    assert seen == [None]
    seen.clear()
    cluster = connect(serve(SAME, token="s3cret", seen=seen), unauthenticated=False)
    assert cluster.token == "s3cret"
    assert seen == [None, "Bearer s3cret"]
    assert "s3cret" not in repr(cluster)


def test_wrong_missing_and_empty_tokens(serve: Serve, tmp_path: Path) -> None:
    url = serve(SAME, token="right")
    for text, message in ((None, "No such file"), ("", "holds none"), ("wrong", "refuses the token of")):
        if text is not None:
            (tmp_path / "token").write_text(text)
        with pytest.raises(ClusterError, match=message) as refused:
            connect(url, unauthenticated=False)
        assert url in str(refused.value)
        assert str(tmp_path / "token") in str(refused.value)


def test_a_cluster_beyond_loopback_must_ask_for_a_token(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(address, "is_loopback", lambda url: False)
    url = serve(SAME)
    with pytest.raises(ClusterError, match=r"CVE-2023-48022.*--insecure"):
        connect(url, unauthenticated=False)
    assert connect(url, unauthenticated=True).url == url
    (tmp_path / "token").write_text("right")
    assert connect(serve(SAME, token="right"), unauthenticated=False).token == "right"


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", ""])
def test_another_server_is_no_dashboard(serve: Serve, body: str) -> None:
    with pytest.raises(ClusterError, match="no Ray dashboard"):
        connect(serve(body), unauthenticated=False)


def test_another_version_of_ray(serve: Serve) -> None:
    with pytest.raises(ClusterError, match=rf"runs Ray 2\.9\.1, this machine Ray {ray.__version__}"):
        connect(serve('{"ray_version": "2.9.1"}'), unauthenticated=False)


def test_unreachable_silent_and_babbling_servers_fail_within_ten_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        started = time.monotonic()
        with pytest.raises(ClusterError, match="does not answer"):
            connect(f"127.0.0.1:{port}", unauthenticated=False)
        assert time.monotonic() - started < 10
    with pytest.raises(ClusterError, match=r"does not answer \(.*refused"):
        connect(f"127.0.0.1:{port}", unauthenticated=False)
    with socket.create_server(("127.0.0.1", 0)) as babbling:
        Thread(target=lambda: babbling.accept()[0].sendall(b"\x00babble\r\n"), daemon=True).start()
        with pytest.raises(ClusterError, match="does not answer"):
            connect(f"127.0.0.1:{babbling.getsockname()[1]}", unauthenticated=False)


@pytest.mark.parametrize("variable", ["RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"])
def test_a_variable_that_gave_the_address_is_named_with_the_way_without_it(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    with pytest.raises(ClusterError, match=rf"does not answer .*that of {variable} .*`unset {variable}`"):
        connect(None, unauthenticated=True)
    monkeypatch.setenv(variable, "auto")
    with pytest.raises(UsageError, match=rf"that of {variable} "):
        connect(None, unauthenticated=True)
    with pytest.raises(ClusterError) as raised:
        connect("http://127.0.0.1:1", unauthenticated=True)
    assert variable not in str(raised.value)


@pytest.mark.parametrize("place", ["http://127.0.0.1:1", "127.0.0.1:1", "nonsense"])
def test_train_names_the_variable_that_sent_it_to_a_cluster(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    job = {"name": "x", "data": "digits", "optimizer": {"name": "sgd", "lr": 0.1}}
    Path("job.yaml").write_text(json.dumps(job))
    monkeypatch.setenv("RAY_ADDRESS", place)
    for arguments, named in ((["job.yaml"], True), (["job.yaml", "--address", place], False)):
        with pytest.raises(SystemExit) as exit_:
            main(["train", *arguments])
        assert exit_.value.code in (2, 4)
        assert ("unset RAY_ADDRESS" in capsys.readouterr().err) is named
    assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]
