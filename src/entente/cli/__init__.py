"""The command line: `entente serve`, and everything an operator does beside it."""

from entente.cli.root import main

__all__ = ["main"]
