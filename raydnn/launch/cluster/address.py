"""The address of a cluster: which one is meant, whether it answers, whether jobs may be sent to it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from raydnn.errors import ClusterError, UsageError

DASHBOARD_PORT = 8265
PROBE_SECONDS = 4.0
"""Two probes and the imports stay within the promised 10 s."""

ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
FORM = f"the head's dashboard address is needed, for instance http://HEAD:{DASHBOARD_PORT}"


@dataclass(frozen=True)
class Cluster:
    """A cluster that answered: its dashboard's URL and the token it asks for."""

    url: str
    token: str | None = field(default=None, repr=False)
    """None: the cluster serves anyone."""

    @property
    def loopback(self) -> bool:
        """Whether it is reached through this machine's loopback."""
        return is_loopback(self.url)


def dashboard_url(address: str | None) -> str:
    """Return the dashboard's URL.

    Args:
        address: `http(s)://HOST:PORT`, `HOST:PORT` or `HOST`; None: what RAY_API_SERVER_ADDRESS or
            RAY_ADDRESS says.

    Raises:
        UsageError: No address was given, or it is none of a dashboard.
    """
    given = address or os.environ.get(address_variable() or "")
    if given is None:
        raise UsageError(
            f"no cluster address; give --address http://HEAD:{DASHBOARD_PORT} or set RAY_ADDRESS"
        )
    url = given if "://" in given else f"http://{given}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"address '{given}': {error}; {FORM}") from None
    if given == "auto" or parts.scheme not in ("http", "https") or not host or re.search(r"[\s@?#]", url):
        raise UsageError(f"address '{given}' is not a dashboard's; {FORM}")
    if port is None and "://" not in given:
        url = f"{url.rstrip('/')}:{DASHBOARD_PORT}"
    return url.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine's loopback; a name other than localhost is not."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def connect(address: str | None, *, unauthenticated: bool) -> Cluster:
    """Find a cluster and check that it answers, takes our token and runs our Ray.

    The token is sent only to a cluster that asks for one.

    Args:
        address: See `dashboard_url`.
        unauthenticated: Accept a cluster beyond loopback that serves anyone.

    Raises:
        UsageError: The address is no dashboard's.
        ClusterError: Unreachable, wrong token, another Ray version, or open to anyone.
    """
    with variable_named(None if address else address_variable()):
        return _connect(dashboard_url(address), unauthenticated)


def address_variable() -> str | None:
    """The environment's variable that gives a cluster's address where nobody else does."""
    return next(filter(os.environ.get, ADDRESS_VARIABLES), None)


@contextmanager
def variable_named(variable: str | None) -> Iterator[None]:
    """Have errors of this block name the variable of the environment that an address came from.

    Args:
        variable: Its name; None: the user gave the address.
    """
    try:
        yield
    except (UsageError, ClusterError) as error:
        if variable is None:
            raise
        raise type(error)(
            f"{error}; the address is that of {variable} in the environment: give another by --address, or go on "
            f"without it by `unset {variable}`"
        ) from error


def _connect(url: str, unauthenticated: bool) -> Cluster:
    status, body = _get_version(url, None)
    token = None
    if status in (401, 403):
        token, source = read_token(url)
        status, body = _get_version(url, token)
        if status in (401, 403):
            raise ClusterError(
                f"{url} refuses the token of {source}; put the cluster's own token there (mode 0600)"
            )
    elif not (unauthenticated or is_loopback(url)):
        raise ClusterError(
            f"{url} runs jobs for anyone who reaches it (CVE-2023-48022); start its nodes with "
            "RAY_AUTH_MODE=token, or accept the risk with --insecure"
        )
    check_version(url, _version(url, status, body))
    return Cluster(url, token)


def _get_version(url: str, token: str | None) -> tuple[int, bytes]:
    request = Request(f"{url}/api/version")
    if token is not None:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urlopen(request, timeout=PROBE_SECONDS) as response:
            return response.status, response.read(65_536)
    except HTTPError as error:
        return error.code, b""
    except Exception as error:  # http.client raises its own kinds when the peer does not speak HTTP
        reason = getattr(error, "reason", None) or error
        raise ClusterError(
            f"{url} does not answer ({reason}); is the head up, and is this its dashboard?"
        ) from None


def read_token(cluster: str) -> tuple[str, str]:
    """The token as Ray looks for it, and where it was found.

    Args:
        cluster: What asks for it, for messages.

    Raises:
        ClusterError: There is none.
    """
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token, "RAY_AUTH_TOKEN"
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise ClusterError(
            f"{cluster} needs a token, and {path} cannot be read ({reason}); {_token_fix(path)}"
        ) from None
    if not token or not token.isprintable():
        raise ClusterError(f"{cluster} needs a token, and {path} holds none; {_token_fix(path)}")
    return token, str(path)


def _token_fix(path: Path) -> str:
    return f"copy the head's token into {path} (mode 0600), or set RAY_AUTH_TOKEN_PATH"


def _version(url: str, status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["ray_version"])
    except (ValueError, KeyError, TypeError):
        raise ClusterError(f"{url} is no Ray dashboard (HTTP {status} from /api/version); {FORM}") from None


def check_version(cluster: str, theirs: str) -> None:
    """Check that a cluster runs our Ray.

    Args:
        cluster: The cluster, for the message.
        theirs: Its version of Ray.

    Raises:
        ClusterError: It is another one.
    """
    ours = version("ray")
    if theirs.split(".")[:2] != ours.split(".")[:2]:
        raise ClusterError(
            f"{cluster} runs Ray {theirs}, this machine Ray {ours}; install ray=={ours} on the cluster"
        )
