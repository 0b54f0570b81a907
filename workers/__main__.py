"""`python -m workers chain | interpretation | stats`: one process per queue."""

from __future__ import annotations

import sys

import queues
import settings
from workers import run

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in queues.QUEUES:
        sys.exit(f"usage: python -m workers {' | '.join(queues.QUEUES)}")
    try:
        chosen = settings.load()
    except ValueError as error:
        sys.stderr.write("\n".join(settings.mistakes(error)) + "\n")
        sys.exit(2)
    run.run(chosen, sys.argv[1])
