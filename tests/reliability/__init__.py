"""What a casino must survive: short here, and long with `make reliability`."""

import os

LONG = os.environ.get("FAIRHOUSE_LONG") == "1"
