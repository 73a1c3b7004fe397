"""The tuning command."""

from tuning_operator.cli.commands import main

__all__ = ["main"]
