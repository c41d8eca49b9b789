"""`python -m alexnet_repro` is `alexnet-repro`."""

import sys

from alexnet_repro.cli import main

if __name__ == "__main__":
    sys.exit(main())
