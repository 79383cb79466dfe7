"""raydnn: distributed batch training on Ray, with results as Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raydnn.face import open as open
    from raydnn.face import plan as plan
    from raydnn.face import submit as submit
    from raydnn.face import sweep as sweep
    from raydnn.face import train as train
    from raydnn.store.read import load as load

    __version__: str

__all__ = ["__version__", "load", "open", "plan", "submit", "sweep", "train"]
_FACE = frozenset({"open", "plan", "submit", "sweep", "train"})


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import raydnn` alone costs nothing."""
    if name == "load":
        from raydnn.store.read import load

        return load
    if name in _FACE:
        from raydnn import face

        return getattr(face, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("raydnn")
    raise AttributeError(f"module 'raydnn' has no attribute {name!r}")
