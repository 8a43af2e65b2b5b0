"""`python -m nbad`: the command line, where the command `nbad` is not on the path."""

import sys

from nbad.tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
