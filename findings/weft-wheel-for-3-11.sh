#!/usr/bin/env bash
# weft-server 0.1.1 (seen on Python 3.11.7 and Debian's 3.11.2, Linux x86_64): the wheel for CPython 3.11 installs, and can't be imported.
#
# Its extension names _PyVectorcall_Call, a private function that only CPython 3.12 and later export. pip takes the wheel, since its
# tag says cp311, and it never builds the sdist. On 3.12 and 3.13 the same release works.
# Who compares servers on 3.11 has to leave it out.
source "$(dirname "$0")/lib.sh"
PYTHON=${PYTHON311:-python3.11}
venv weft-server==0.1.1

said=$("$work/venv/bin/python" -c 'import weft' 2>&1) && { echo "changed: it can be imported" >&2; exit 1; }
[[ $said == *"undefined symbol: _PyVectorcall_Call"* ]] || { echo "changed: $said" >&2; exit 1; }
echo "as written: ${said##*: }"
