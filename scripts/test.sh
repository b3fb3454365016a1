#!/usr/bin/env bash
# Runs the tests; arguments go to pytest (for instance: -m slow).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

cd "$root"
"$bin/python" -m pytest "$@"
