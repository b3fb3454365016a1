#!/usr/bin/env bash
# Installs Debian's chromium and its driver, with which the tests of the HTML page open it in a browser. For
# .ci/run and for whoever asks for it: the tests themselves install nothing, and are skipped without a browser.
# Needs apt-get and either root or sudo without a password; takes two minutes at most, and never fails.
have_browser() { command -v chromium >/dev/null 2>&1 && command -v chromedriver >/dev/null 2>&1; }

install_browser() {
    local get="DEBIAN_FRONTEND=noninteractive apt-get -qq -y"
    local install="$get --no-install-recommends install chromium chromium-driver"
    echo "installing chromium and chromedriver for the tests of the HTML page (two minutes at most)"
    "$@" timeout 120 sh -c "$install || { $get update && $install; }" </dev/null >/dev/null 2>&1 || true
}

if ! have_browser && command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then
        install_browser
    elif sudo -n true >/dev/null 2>&1; then
        install_browser sudo -n
    fi
fi
have_browser || echo "no chromium and chromedriver: the tests of the HTML page in a browser are skipped"
