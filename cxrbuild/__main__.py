"""Run the command line, as ``cxrbuild`` and as ``python -m cxrbuild``."""

import gc


def main() -> None:
    """Run the command line and exit with its status."""
    # Here, for every worker process reads this module too, and needs no commands.
    try:
        from cxrbuild.cli import main as run
    except KeyboardInterrupt:
        raise SystemExit(130) from None

    # Libraries and tables are many objects and hardly any garbage. It is looked for seldom, and not at all in
    # the end, where all of pandas would be searched once more: some 0.2 s of a `curate`.
    gc.set_threshold(50_000)
    try:
        run()
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
