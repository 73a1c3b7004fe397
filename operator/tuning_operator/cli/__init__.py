"""The tuning command."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command; Ctrl-C while its libraries are being loaded ends it without a traceback."""
    try:
        from tuning_operator.cli.commands import main as tuning  # noqa: PLC0415 - loading takes a second
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    tuning()
