"""`python -m samix` is the same as `samix`."""

import sys

from samix.cli import main

if __name__ == "__main__":
    sys.exit(main())
