"""A seal on a Parquet file: a digest of all its bytes, kept in a gap that readers of Parquet skip.

Page checksums cover the values only. A flipped bit in the footer or in a page's header can change names,
counts or encodings and still give a readable file, so the whole file is sealed:
`pages | mark, SHA-256 | footer, length, magic`. Every offset in a footer counts from the beginning of the
file, so the gap moves none of them.
"""

from __future__ import annotations

import hashlib

_MARK = b"raydnn-sha256:"
_DIGEST_BYTES = hashlib.sha256().digest_size
_TAIL_BYTES = 8


def seal(parquet: bytes) -> bytes:
    """Return the Parquet file with its seal."""
    pages, footer = _split(parquet)
    return pages + _MARK + _digest(pages, footer) + footer


def broken(data: bytes) -> bool:
    """Whether the file carries a seal that does not fit its bytes; a file without a seal is not judged."""
    body, footer = _split(data)
    pages, gap = body[: -len(_MARK) - _DIGEST_BYTES], body[-len(_MARK) - _DIGEST_BYTES :]
    return gap.startswith(_MARK) and gap[len(_MARK) :] != _digest(pages, footer)


def _split(data: bytes) -> tuple[bytes, bytes]:
    footer_bytes = int.from_bytes(data[-_TAIL_BYTES : -_TAIL_BYTES // 2], "little") + _TAIL_BYTES
    return data[:-footer_bytes], data[-footer_bytes:]


def _digest(pages: bytes, footer: bytes) -> bytes:
    digest = hashlib.sha256(pages)
    digest.update(footer)
    return digest.digest()
