#!/usr/bin/env bash
# From a clone to a figure: installs, optimizes noise towards a recording, and reports.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

cd "$root"
"$bin/simopt" run measure=cka dataset=majaj dataset.source=surrogate
"$bin/simopt" report outputs
echo
echo "The figure of captured variance against score: $root/outputs/figures/majaj_surrogate_captured.png"
