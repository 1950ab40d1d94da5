# Sourced by each finding: a temporary folder that goes at the end, and `venv PACKAGE...`, which makes an environment in it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PYTHON=${PYTHON:-python3}

# The environment's interpreter is then $work/venv/bin/python.
venv() {
  command -v "$PYTHON" >/dev/null || { echo "needs $PYTHON (set PYTHON to another)" >&2; exit 2; }
  "$PYTHON" -m venv "$work/venv"
  (($# == 0)) || "$work/venv/bin/python" -m pip install --disable-pip-version-check -q "$@"
}
