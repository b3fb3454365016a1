#!/usr/bin/env bash
# Runs the tests in two processes of one thread each; arguments go to pytest (for instance: -m slow, or -n 0).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

cd "$root"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
"$bin/python" -m pytest -n 2 "$@"
