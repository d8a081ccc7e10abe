#!/bin/sh
# Packages from Debian or Ubuntu, unpacked into the folder $1, with the libraries they need that are not installed.
# Nothing of the machine changes: no root, no service, no user, no list of packages but a private one.
set -eu
mkdir -p "$(dirname "$1")"
folder=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
shift
part=$folder.part
rm -rf "$part"
mkdir -p "$part/apt/lists/partial" "$part/apt/cache/archives/partial"
apt() {
    apt-get -qq -o Debug::NoLocking=true -o APT::Sandbox::User= \
        -o Dir::State::lists="$part/apt/lists" -o Dir::Cache="$part/apt/cache" "$@"
}
apt update
apt install --reinstall --download-only --yes --no-install-recommends "$@"
for package in "$part"/apt/cache/archives/*.deb; do
    dpkg --extract "$package" "$part"
done
rm -rf "$part/apt" "$folder"
mv "$part" "$folder"
