"""`raydnn doctor`: what works on this machine, and what to do about what does not."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import click

from raydnn.cli.options import output_option, storage_option
from raydnn.cli.printing.output import print_table
from raydnn.machine import GIB

PACKAGES = ("torch", "ray", "pyarrow", "duckdb", "pydantic", "sklearn", "safetensors")
"""Modules without which nothing runs."""

DISTRIBUTIONS = {"sklearn": "scikit-learn"}
CONNECT_SECONDS = 3.0


@dataclass(frozen=True)
class Check:
    """One thing looked at: `ok`, `note` (works, but look at it) or `fail` (needed, and does not work)."""

    name: str
    state: Literal["ok", "note", "fail"]
    detail: str


@click.command()
@storage_option
@output_option
@click.pass_context
def doctor(ctx: click.Context, storage: str, output: str) -> None:
    """Show versions, devices, storage, cluster address and auth token: what works here.

    Leaves with exit code 1 if something that is needed does not work.

    \b
    Example:
      raydnn doctor
      raydnn doctor --storage s3://bucket/results
    """
    checks = [
        check_python(),
        *map(check_package, PACKAGES),
        *check_devices(),
        check_cores(),
        check_memory(),
        check_storage(storage),
        check_address(os.environ.get("RAY_ADDRESS", "")),
        check_token(),
    ]
    print_table(("check", "state", "detail"), [(c.name, c.state, c.detail) for c in checks], output)
    ctx.exit(1 if any(check.state == "fail" for check in checks) else 0)


def check_python() -> Check:
    """The interpreter's version."""
    version = platform.python_version()
    state: Literal["ok", "fail"] = "ok" if sys.version_info >= (3, 11) else "fail"
    return Check(
        "python", state, f"{version} ({sys.executable})" + ("" if state == "ok" else "; 3.11 is needed")
    )


def check_package(module: str) -> Check:
    """Whether a module can be imported, and its version."""
    try:
        importlib.import_module(module)
        return Check(module, "ok", importlib.metadata.version(DISTRIBUTIONS.get(module, module)))
    except Exception as error:  # a broken installation raises whatever its native code raises
        reason = (str(error).splitlines() or [""])[0]
        return Check(
            module, "fail", f"cannot be imported: {type(error).__name__}: {reason}; install raydnn again"
        )


def check_devices() -> Iterator[Check]:
    """Every GPU that torch can use, or that it has only the CPU."""
    try:
        import torch
    except Exception:
        return
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        yield Check(f"gpu {index}", "ok", f"{device.name}, {device.total_memory / GIB:.0f} GiB")
    if not torch.cuda.is_available():
        yield Check("gpu", "ok", "none; training runs on the CPU")


def check_cores() -> Check:
    """CPU cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check("cpu cores", "ok", str(cores))


def check_memory() -> Check:
    """Memory of the machine, or of the container where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        total = min(total, int(text))
    return Check("memory", "ok", f"{total / GIB:.1f} GiB")


def check_storage(storage: str) -> Check:
    """Whether runs can be written; a probe is written and removed, the folder itself is not made."""
    try:
        detail = _probe_uri(storage) if "://" in storage else _probe_folder(Path(storage))
    except Exception as error:  # each object store raises errors of its own
        reason = (str(error).splitlines() or [""])[0]
        return Check("storage", "fail", f"{storage} cannot be written: {reason}; give another with --storage")
    return Check("storage", "ok", detail)


def _probe_folder(folder: Path) -> str:
    path = folder.resolve()
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    with tempfile.TemporaryFile(dir=existing) as file:
        file.write(b"raydnn")
    made = "" if existing == path else ", made by the first run"
    return f"{path} is writable, {shutil.disk_usage(existing).free / GIB:.1f} GiB free{made}"


def _probe_uri(uri: str) -> str:
    from pyarrow import fs

    filesystem, root = fs.FileSystem.from_uri(uri)
    if isinstance(filesystem, fs.LocalFileSystem):
        return _probe_folder(Path(root))
    probe = f"{root.rstrip('/')}/.raydnn-doctor-{os.getpid()}"
    with filesystem.open_output_stream(probe) as stream:
        stream.write(b"raydnn")
    filesystem.delete_file(probe)
    return f"{uri} is writable"


def check_address(address: str) -> Check:
    """Whether the cluster named by RAY_ADDRESS answers.

    Args:
        address: `host:port`, a URL, `auto`, or empty for none.
    """
    name = "cluster"
    if address in ("", "auto", "local"):
        said = f"RAY_ADDRESS is {address}" if address else "RAY_ADDRESS is not set"
        return Check(name, "ok", f"{said}; train and sweep need no cluster, submit takes --address")
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        host, port = None, None
    if not host or not port:
        return Check(name, "fail", f"RAY_ADDRESS is '{address}'; allowed are host:port and http://host:port")
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        return Check(name, "fail", f"RAY_ADDRESS {address} does not answer: {error}; is the cluster up?")
    return Check(name, "ok", f"RAY_ADDRESS {address} answers")


def check_token() -> Check:
    """Whether there is an auth token, and whether only its owner can read it; the token is never shown."""
    name = "auth token"
    if os.environ.get("RAY_AUTH_TOKEN"):
        return Check(name, "ok", "from RAY_AUTH_TOKEN")
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    if not path.is_file():
        if named:
            return Check(name, "fail", f"RAY_AUTH_TOKEN_PATH names {path}, which is no file")
        return Check(name, "ok", f"none at {path}; only a cluster that asks for one needs it")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Check(name, "note", f"{path} has mode {mode:04o}, others may read it: chmod 600 {path}")
    return Check(name, "ok", f"{path}, mode {mode:04o}")
