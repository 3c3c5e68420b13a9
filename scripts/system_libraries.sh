#!/usr/bin/env bash
# Makes sure that what a window needs is on a Linux machine: the libraries Qt links to, and with "xvfb" a virtual display.
# Installs what is missing where that is possible without a question (root, apt-get); otherwise names it and fails.
# With "xvfb" it also installs dciodvfy where it can: tests let it judge the DICOM files that are written, or skip.
set -euo pipefail

[ "$(uname -s)" = Linux ] || exit 0
want_display=${1:-}

# What the machine must have, and the Debian and Ubuntu package that brings it.
libraries="
libEGL.so.1 libegl1
libGL.so.1 libgl1
libGLX_mesa.so.0 libglx-mesa0
libOpenGL.so.0 libopengl0
libX11-xcb.so.1 libx11-xcb1
libdbus-1.so.3 libdbus-1-3
libfontconfig.so.1 libfontconfig1
libfreetype.so.6 libfreetype6
libglib-2.0.so.0 libglib2.0-0
libxcb-cursor.so.0 libxcb-cursor0
libxcb-glx.so.0 libxcb-glx0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-randr.so.0 libxcb-randr0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-render.so.0 libxcb-render0
libxcb-shape.so.0 libxcb-shape0
libxcb-shm.so.0 libxcb-shm0
libxcb-sync.so.1 libxcb-sync1
libxcb-xfixes.so.0 libxcb-xfixes0
libxcb-xkb.so.1 libxcb-xkb1
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libxkbcommon.so.0 libxkbcommon0
"

missing() {  # prints the packages whose library or command is not there, one a line
    local cache library package
    cache=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p)
    while read -r library package; do
        [ -z "$library" ] || grep -qF "$library " <<<"$cache" || echo "$package"
    done <<<"$libraries"
    if [ "$want_display" = xvfb ]; then
        command -v Xvfb >/dev/null || echo xvfb
        command -v xauth >/dev/null || echo xauth
    fi
}

can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

if [ "$want_display" = xvfb ] && ! command -v dciodvfy >/dev/null && can_install; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends dicom3tools; } >/dev/null 2>&1 || true
fi

packages=$(missing | sort -u | xargs)
[ -n "$packages" ] || exit 0

if can_install; then
    echo "Installing system packages: $packages"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086  # one word a package
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages; } >/dev/null || true
    packages=$(missing | sort -u | xargs)
    [ -n "$packages" ] || exit 0
fi

cat >&2 <<MESSAGE
A window needs system libraries that are missing here: $packages
(names of the Debian and Ubuntu packages). Install them and run make again:
    sudo apt-get install $packages
MESSAGE
exit 1
