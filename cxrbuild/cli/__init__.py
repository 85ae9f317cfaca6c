"""The command line: parse, call one function, print; nothing else in the package prints or exits."""

from cxrbuild.cli.main import main

__all__ = ["main"]
