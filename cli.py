"""The command line from a checkout that is not installed: ``python cli.py ...`` is ``lightning-twosome ...``."""

import sys

from lightning_twosome.main import main

if __name__ == "__main__":
    sys.exit(main())
