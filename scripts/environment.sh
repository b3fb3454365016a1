# Sourced by demo.sh, test.sh and coverage.sh: makes .venv in the checkout, once for each state of
# pyproject.toml and constraints.txt, and sets $root and $bin. PYTHON chooses the interpreter, SIMOPT_VENV the
# folder.
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${SIMOPT_VENV:-$root/.venv}"
bin="$venv/bin"

usable() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; }

find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.11 python3.12 python3.13 python; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "simopt needs Python 3.11, 3.12 or 3.13; none was found. Set PYTHON=/path/to/python." >&2
    return 1
}

stamp="$(cat "$root/pyproject.toml" "$root/constraints.txt" | cksum)"
if [ "$(cat "$venv/.simopt-stamp" 2>/dev/null)" != "$stamp" ] || [ ! -x "$bin/simopt" ]; then
    python="$(find_python)" || exit 1
    echo "making an environment in $venv (the first time takes a few minutes)"
    "$python" -m venv --clear "$venv"
    "$bin/python" -m pip install --quiet --disable-pip-version-check -c "$root/constraints.txt" -e "$root[dev]"
    echo "$stamp" >"$venv/.simopt-stamp"
fi
