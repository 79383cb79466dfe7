"""The working folder as it is sent to a cluster: code and job files, without secrets, data, results and caches."""

from __future__ import annotations

import glob
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from raydnn.errors import UsageError

LIMIT_BYTES = 200_000_000
SHOWN = 5
"""Entries of a folder that a message names."""

EXCLUDES = (
    ".git",
    ".hg",
    ".venv",
    "venv",
    "node_modules",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    ".ipynb_checkpoints",
    "*.egg-info",
    "/data",
    "/results",
    "/build",
    "/dist",
)
"""Patterns as in a .gitignore; the folder's own .gitignore and .rayignore hold too."""

_SECRETS = (
    *(".env*", "*.env", ".netrc", "_netrc", ".pgpass", ".git-credentials", ".gitconfig", ".npmrc", ".pypirc"),
    *(
        ".htpasswd",
        ".boto",
        ".s3cfg",
        ".dockercfg",
        ".vault-token",
        "credentials.json",
        "service_account*.json",
    ),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk", "id_*", "auth_token"),
    *(".ssh", ".aws", ".azure", ".gcloud", ".gnupg", ".kube", ".docker", ".ray", ".kaggle", ".huggingface"),
)
"""Names of files and folders that hold keys and passwords, in lower case: they are never sent."""


@dataclass(frozen=True)
class Upload:
    """What of a folder is sent, and what is kept back."""

    folder: Path
    files: Mapping[str, Path]
    """Name in the archive → the file it is read from, which lies in the folder."""
    secrets: tuple[str, ...]
    links: tuple[str, ...]
    """Links that lead out of the folder."""

    def told(self) -> list[str]:
        """What goes, with its size, and what does not, a line each."""
        entries = self._sizes()
        named = [f"{name} ({_size(size)})" for name, size in entries[:SHOWN]]
        others = [f"{len(entries) - SHOWN} others"] if len(entries) > SHOWN else []
        size = _size(sum(size for _, size in entries))
        lines = [f"sends {len(self.files)} files, {size}, of {self.folder}: {', '.join([*named, *others])}"]
        for kept, why in ((self.secrets, "may hold secrets"), (self.links, "lead out of the folder")):
            if kept:
                names = [*kept[:SHOWN], *([f"{len(kept) - SHOWN} others"] if len(kept) > SHOWN else [])]
                lines.append(f"not sent, since they {why}: {', '.join(names)}")
        return lines

    def check_size(self) -> None:
        """Refuse what is too large to be sent.

        Raises:
            UsageError: More than LIMIT_BYTES; names the largest files.
        """
        sizes = {name: path.stat().st_size for name, path in self.files.items()}
        total = sum(sizes.values())
        if total > LIMIT_BYTES:
            largest = sorted(sizes.items(), key=lambda entry: -entry[1])[:SHOWN]
            named = ", ".join(f"{name} ({_size(size)})" for name, size in largest)
            raise UsageError(
                f"{self.folder}: more than {_size(LIMIT_BYTES)} to send to the cluster, {_size(total)}; the largest "
                f"files are {named}; name what is not code in .gitignore or .rayignore, or submit from a smaller "
                "folder"
            )

    def _sizes(self) -> list[tuple[str, int]]:
        """The folder's entries and how many bytes each of them sends, the largest first."""
        entries: Counter[str] = Counter()
        for name, path in self.files.items():
            entries[name.partition("/")[0]] += path.stat().st_size
        return entries.most_common()


def pack(folder: Path, archive: Path, *, needed: Iterable[Path], left_out: Iterable[Path] = ()) -> Upload:
    """Write the archive to send; the same files give the same bytes, which the cluster then has already.

    Args:
        folder: The folder to send.
        archive: The zip file to write.
        needed: Files inside the folder that must be sent.
        left_out: Files and folders not to send, besides EXCLUDES and what may hold secrets; those beyond the
            folder do not matter.

    Returns:
        What the archive holds.

    Raises:
        UsageError: More than LIMIT_BYTES to send, a needed file left out, or a file that cannot be read.
    """
    inside = [path.relative_to(folder) for path in left_out if path.is_relative_to(folder) and path != folder]
    try:
        upload = _chosen(folder, [*EXCLUDES, *(f"/{glob.escape(path.as_posix())}" for path in inside)])
        for path in needed:
            _check_sent(path, upload)
        upload.check_size()
        with ZipFile(archive, "w", ZIP_DEFLATED, compresslevel=1) as zipped:
            for name, path in sorted(upload.files.items()):
                entry = ZipInfo(name)
                entry.external_attr = (path.stat().st_mode & 0o777) << 16
                entry.compress_type = ZIP_DEFLATED
                zipped.writestr(entry, path.read_bytes())
    except OSError as error:
        raise UsageError(f"{error.filename or archive}: cannot be packed ({error.strerror})") from None
    return upload


def _check_sent(path: Path, upload: Upload) -> None:
    name = path.relative_to(upload.folder).as_posix()
    if name not in upload.files:
        raise UsageError(
            f"{path}: is not sent to the cluster; .gitignore, .rayignore, a folder that is never sent (data, "
            "results, caches), a name that secrets have (.env, *.key, id_*) or a link out of the folder leaves "
            "it out"
        )


def _chosen(folder: Path, excludes: list[str]) -> Upload:
    # Ray's own walk, so that .gitignore and .rayignore mean what they mean to `ray job submit`.
    from ray._private.runtime_env.packaging import _dir_travel, _get_excludes

    found: list[Path] = []
    secrets: list[Path] = []
    links: list[Path] = []

    def kept_back(path: Path) -> bool:
        if any(fnmatchcase(path.name.lower(), pattern) for pattern in _SECRETS) and path != folder:
            secrets.append(path)
            return True
        if path.is_symlink():
            links.append(path)
            return True
        return False

    quiet = logging.getLogger("raydnn.upload")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    left_out = [_get_excludes(folder, excludes), kept_back]
    _dir_travel(folder, left_out, found.append, include_gitignore=True, logger=quiet)

    files = {path.relative_to(folder).as_posix(): path for path in found if path.is_file()}
    linked, outside = _linked(folder, links, list(files.values()))
    return Upload(folder, files | linked, tuple(_names(folder, secrets)), tuple(_names(folder, outside)))


def _linked(folder: Path, links: Iterable[Path], files: Iterable[Path]) -> tuple[dict[str, Path], list[Path]]:
    """What links stand for: those files that are sent anyway; and the links that lead out of the folder."""
    root = folder.resolve()
    linked: dict[str, Path] = {}
    outside = []
    for link in links:
        target = _target(link)
        if target is None or not target.is_relative_to(root):
            outside.append(link)
            continue
        target = folder / target.relative_to(root)
        for path in files:
            if path.is_relative_to(target):
                name = (link / path.relative_to(target)).relative_to(folder).as_posix()
                linked[name] = path
    return linked, outside


def _target(link: Path) -> Path | None:
    """Where a link leads in the end; None where it leads in a circle."""
    try:
        return link.resolve()
    except (OSError, RuntimeError):
        return None


def _names(folder: Path, paths: Iterable[Path]) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _size(count: int) -> str:
    """A number of bytes as it is told."""
    return f"{round(count / 1e6, 1):g} MB" if count >= 1e6 else f"{round(count / 1e3, 1):g} kB"
