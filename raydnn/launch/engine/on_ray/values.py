"""Ray's own key-value store: no extra process, and a worker that starts again finds its values again."""

from __future__ import annotations

_NAMESPACE = b"raydnn"


class RayValues:
    """What carries the mailboxes of a cluster's runs."""

    def put(self, key: str, value: bytes) -> None:
        """Keep a value, in the place of an earlier one."""
        from ray.experimental.internal_kv import _internal_kv_put

        _internal_kv_put(key.encode(), value, namespace=_NAMESPACE)

    def get(self, key: str) -> bytes | None:
        """The value of a key; None where there is none."""
        from ray.experimental.internal_kv import _internal_kv_get

        found: bytes | None = _internal_kv_get(key.encode(), namespace=_NAMESPACE)
        return found

    def remove(self, prefix: str) -> None:
        """Remove all values whose keys begin so."""
        from ray.experimental.internal_kv import _internal_kv_del

        _internal_kv_del(prefix.encode(), del_by_prefix=True, namespace=_NAMESPACE)
