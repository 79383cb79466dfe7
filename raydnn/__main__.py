"""`python -m raydnn` is the same as `raydnn`."""

from __future__ import annotations

from raydnn.cli.main import main

if __name__ == "__main__":
    main()
