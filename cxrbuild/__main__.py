"""Run the command line as ``python -m cxrbuild``."""

from cxrbuild.cli import main

if __name__ == "__main__":
    main()
