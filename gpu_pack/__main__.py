"""The `gpu-pack` command, and `python -m gpu_pack`."""

from __future__ import annotations

import os
from typing import NoReturn


def main() -> NoReturn:
    """Import the program and run it; a Ctrl-C meanwhile has nothing to interrupt yet."""
    try:
        from gpu_pack.cli import main
    except KeyboardInterrupt:
        os._exit(130)
    main.main()


if __name__ == "__main__":
    main()
