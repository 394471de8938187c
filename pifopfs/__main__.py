"""`python -m pifopfs`."""

from pifopfs.cli import main

main()
