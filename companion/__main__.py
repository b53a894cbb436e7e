"""`python -m companion`: the command line, which does not import what happens to lie in the current folder."""

import os
import sys

if __name__ == "__main__":
    # Python puts the current folder first. A student's file there, `random.py` say, would take the place of Python's own.
    if sys.path and __file__ != os.path.join(sys.path[0], "companion", "__main__.py"):
        del sys.path[0]

from companion.command_line import main

if __name__ == "__main__":
    sys.exit(main())
