# Sourced by test.sh and coverage.sh: installs Debian's chromium and its driver, where the tests of the HTML
# page miss them and apt-get can be used without asking: as root, or on a CI machine by sudo. Two minutes at
# most, and never an error; without a browser these tests are skipped.
have_browser() { command -v chromium >/dev/null 2>&1 && command -v chromedriver >/dev/null 2>&1; }

install_browser() {
    local get="DEBIAN_FRONTEND=noninteractive apt-get -qq -y"
    local install="$get --no-install-recommends install chromium chromium-driver"
    echo "installing chromium and chromedriver for the tests of the HTML page (two minutes at most)"
    "$@" timeout 120 sh -c "$install || { $get update && $install; }" </dev/null >/dev/null 2>&1 || true
}

if ! have_browser; then
    if command -v apt-get >/dev/null 2>&1; then
        if [ "$(id -u)" = 0 ]; then
            install_browser
        elif [ -n "${CI:-}" ] && sudo -n true >/dev/null 2>&1; then
            install_browser sudo -n
        fi
    fi
    have_browser || echo "no chromium and chromedriver: the tests of the HTML page in a browser are skipped"
fi
