#!/usr/bin/env bash
# Runs the tests with every line of simopt counted, in the processes that they start too, and reports what was not
# run, by module, the least covered last; arguments go to pytest (for instance: tests/store, or -n 0).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

cd "$root"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
data="$(mktemp -d)"
trap 'rm -rf "$data"' EXIT
export COVERAGE_FILE="$data/coverage"
result=0
"$bin/python" -m coverage run -m pytest -n 2 "$@" || result=$?
"$bin/python" -m coverage combine --quiet
"$bin/python" -m coverage report --sort=-cover --show-missing --skip-covered
exit "$result"
