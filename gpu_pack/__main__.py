"""`python -m gpu_pack`."""

from gpu_pack.cli import main

main()
