#!/usr/bin/env bash
# From a clone to a figure: installs, optimises noise towards a recording, and reports.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

outputs="$root/outputs"
"$bin/simopt" run measure=cka dataset=majaj dataset.source=surrogate "log.dir='$outputs'"
"$bin/simopt" report "$outputs"
echo
echo "The figure of captured variance against score: $outputs/figures/majaj_surrogate_captured.png"
