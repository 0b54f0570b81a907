"""Imported by the fork server alone: it leaves the session of the command that started it.

What a terminal, or a shell's `kill %1`, tells all processes of a command at once is for the one who
asked for the forks. With the fork server he would lose how they end, and when.
"""

from __future__ import annotations

import os

os.setsid()
