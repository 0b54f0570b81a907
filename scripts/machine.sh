#!/bin/sh
# Says in one line why the embedded servers cannot run here, if they cannot.
python="$1"
fail() { echo "Fairhouse runs embedded on Linux x86-64 with glibc >= 2.34 and Python 3.11 or 3.12; $1." >&2; exit 1; }
[ "$(uname -s)" = Linux ] && [ "$(uname -m)" = x86_64 ] || fail "this is $(uname -s) $(uname -m)"
[ -n "$python" ] || fail "no python3 is on the PATH"
"$python" - <<'PY' || exit 1
import platform, sys
name, version = platform.libc_ver()
glibc = tuple(int(part) for part in version.split(".")[:2]) if name == "glibc" else (0, 0)
wanted = "Fairhouse runs embedded on Linux x86-64 with glibc >= 2.34 and Python 3.11 or 3.12; "
if sys.version_info[:2] not in ((3, 11), (3, 12)):
    sys.exit(wanted + f"this is Python {sys.version.split()[0]}.")
if glibc < (2, 34):
    sys.exit(wanted + f"this is {name or 'another libc'} {version}.")
PY
