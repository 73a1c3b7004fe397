"""A whole cluster on this machine: python -m tests.cluster up | down

It runs real Pods and needs root. Starting it first removes what a run that was cut left.
"""

from __future__ import annotations

import argparse
import sys

from tests.cluster.cluster import down, up
from tests.cluster.locks import BusyError


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("what", choices=["up", "down"])
    try:
        if parser.parse_args().what == "up":
            sys.stdout.write(f"export KUBECONFIG={up().kubeconfig}\n")
        else:
            down()
    except PermissionError as error:
        sys.stderr.write(f"cluster: {error}\n")
        return 1
    except BusyError:
        sys.stderr.write("cluster: another command starts or stops the cluster now; wait for it\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
