#!/usr/bin/env bash
# Builds the sdist and the wheel, then installs and runs the wheel in a clean environment of each Python, first
# alone, then with each extra, and lastly the commands of the README. One line a check; what a failed one printed
# follows it, and the exit code is 1.
#
#     bash scripts/package.sh [PYTHON ...]
#
# PYTHON: interpreters; none: python3.11, python3.12 and python3.13, as far as they are here. Pip installs torch
# for each: see the README for the index of its small build for CPUs. Four minutes a Python, and the download.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
failed=0
export SIMOPT_DATA="$work/recordings" PIP_DISABLE_PIP_VERSION_CHECK=1 NO_COLOR=1
unset PYTHONPATH

check() {
    local who="$1" what="$2" began=$SECONDS result=ok
    shift 2
    timeout 1800 "$@" >"$work/log" 2>&1 </dev/null || result=FAILED
    printf '%-12s %-44s %-6s %5d s\n' "$who" "$what" "$result" $((SECONDS - began))
    [ "$result" = ok ] && return
    tail -n 20 "$work/log" | sed 's/^/    /'
    failed=1
    return 1
}

same_files='
import sys, zipfile
one, other = ({i.filename: z.read(i) for i in z.infolist()} for z in map(zipfile.ZipFile, sys.argv[1:]))
sys.exit("\n".join(sorted(n for n in one.keys() | other.keys() if one.get(n) != other.get(n))) or 0)
'
own_files='
import importlib.metadata, sys
from pathlib import Path
scripts = Path(sys.executable).parent
home = Path(importlib.metadata.distribution("simopt").locate_file("")).resolve()
for file in importlib.metadata.files("simopt"):
    place = Path(file.locate()).resolve()
    inside = place.is_relative_to(home) and file.parts[0].partition("-")[0] == "simopt"
    if not place.exists() or not (inside or place == scripts.resolve() / "simopt"):
        sys.exit(f"{file} is outside the package, or not there")
'

pythons=("$@")
[ $# -gt 0 ] || pythons=(python3.11 python3.12 python3.13)
usable=()
for python in "${pythons[@]}"; do
    if version="$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)"; then
        usable+=("$python")
    else
        printf '%-12s %s\n' "$python" "not here"
    fi
done
[ ${#usable[@]} -gt 0 ] || { echo "no Python to check with; name one: bash scripts/package.sh PYTHON"; exit 1; }

builder="$work/builder/bin/python"
"${usable[0]}" -m venv "$work/builder"
"$builder" -m pip install --quiet -c "$root/constraints.txt" build
check build "sdist, and the wheel from it" "$builder" -m build --outdir "$work/dist" "$root" || exit 1
check build "wheel from the checkout" "$builder" -m build --wheel --outdir "$work/direct" "$root" || exit 1
wheel="$(echo "$work"/dist/*.whl)"
check build "both wheels hold the same files" "$builder" -c "$same_files" "$wheel" "$work"/direct/*.whl || true

for python in "${usable[@]}"; do
    version="$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')"
    bin="$work/$version/bin"
    here="$work/a folder/$version"
    mkdir -p "$here"
    cd "$here"
    "$python" -m venv "$work/$version"
    install=("$bin/python" -m pip install --quiet -c "$root/constraints.txt")
    check "$version" "pip install" "${install[@]}" "$wheel" || continue
    {
        check "$version" "pip check" "$bin/python" -m pip check
        check "$version" "no file outside the package" "$bin/python" -c "$own_files"
        check "$version" "simopt --version" "$bin/simopt" --version
        check "$version" "simopt --help" "$bin/simopt" --help
        check "$version" "simopt measures" "$bin/simopt" measures
        check "$version" "simopt run" "$bin/simopt" run dataset=ultrametric max_steps=3
        check "$version" "simopt report" "$bin/simopt" report outputs

        sweep=("$bin/simopt" sweep measure=cka,nbs dataset=ultrametric max_steps=3)
        check "$version" "[joblib] pip install" "${install[@]}" "$wheel[joblib]"
        check "$version" "[joblib] simopt sweep" "${sweep[@]}" hydra/launcher=joblib hydra.launcher.n_jobs=2
        check "$version" "[slurm] pip install" "${install[@]}" "$wheel[slurm]"
        check "$version" "[slurm] simopt sweep" "${sweep[@]}" seeds=[1] hydra/launcher=submitit_local
        check "$version" "[formats] pip install" "${install[@]}" "$wheel[formats]"
        check "$version" "[formats] import" "$bin/python" -c "import pyarrow.feather, pyarrow.parquet"
        check "$version" "[html] pip install" "${install[@]}" "$wheel[html]"
        check "$version" "[html] simopt report --html" "$bin/simopt" report outputs --html page.html
        check "$version" "pip check, with the extras" "$bin/python" -m pip check

        mkdir stranger
        cp -r "$root/tests" "$root/scripts" "$root/README.md" "$root/pyproject.toml" stranger
        check "$version" "[dev] pip install" "${install[@]}" "$wheel[dev]"
        check "$version" "README and help, by the wheel" \
            bash -c 'cd stranger && "$0" -m pytest -q -m "slow or not slow" -k "not section" tests/test_readme.py' \
            "$bin/python"
    } || true
done
exit "$failed"
