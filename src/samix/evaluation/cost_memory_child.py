"""The fresh process that measures the memory of one setting; see cost_memory.

``python -m samix.evaluation.cost_memory_child TASK`` prints the result as JSON. It exits with code
2 and one sentence where the task cannot be done.
"""

from __future__ import annotations

import json
import sys

from samix.errors import InputError

from .cost_memory import run_task


def main() -> int:
    """Do the task of the command line and return the exit code."""
    try:
        print(json.dumps(run_task(sys.argv[1])))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
