"""Run the command line, as ``cxrbuild`` and as ``python -m cxrbuild``."""

import atexit
import gc
import signal
import sys


def main() -> None:
    """Run the command line and exit with its status."""
    # Nothing has been done yet that Control-C could damage: while modules are imported it ends the process.
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Here, for every worker process reads this module too, and needs no commands.
    from cxrbuild.cli import main as run

    signal.signal(signal.SIGINT, handler)

    # Libraries and tables are many objects and hardly any garbage. It is looked for seldom, and not at all in
    # the end, where all of pandas would be searched once more: some 0.2 s of a `curate`.
    gc.set_threshold(50_000)
    try:
        run()
    finally:
        gc.freeze()


@atexit.register
def _wait_for_workers() -> None:
    # Loaded only where a command had workers.
    if executors := sys.modules.get("cxrbuild.executors"):
        executors.wait_for_fork_server()


if __name__ == "__main__":
    main()
