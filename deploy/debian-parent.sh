#!/usr/bin/env bash
# Make a parent for base images from Debian packages, for machines that cannot pull `python:3.11-slim`: Debian with
# Python 3.11, venv and CA certificates, nothing else. Needs root, debootstrap and docker.
#
#   deploy/debian-parent.sh IMAGE [TARBALL]      # TARBALL is made once and kept; default: nothing is kept
#   DEBIAN_MIRROR=http://mirror.example.com/debian deploy/debian-parent.sh debian-python:bookworm
set -euo pipefail

image=${1:?usage: debian-parent.sh IMAGE [TARBALL]}
tarball=${2:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [[ -z $tarball || ! -e $tarball ]]; then
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
        bookworm "$work/root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2 && exit 1; }
    # What a container never needs: package lists and archives, documentation, translations, perl's and apt's caches.
    (cd "$work/root" && rm -rf var/cache/apt/*.bin var/cache/apt/archives/*.deb var/lib/apt/lists/* var/cache/debconf/*-old \
        var/log/* usr/share/man/* usr/share/info/* usr/share/locale/* usr/share/lintian tmp/* &&
        find usr/share/doc -type f ! -name copyright -delete)
    made=${tarball:-$work/parent.tar}
    # One name only when it is whole: a run that was stopped leaves no half of it.
    tar --create --numeric-owner --one-file-system --sort=name -C "$work/root" -f "$made.$$" .
    mv "$made.$$" "$made"
    tarball=$made
fi
docker import --change 'CMD ["python3"]' "$tarball" "$image" >/dev/null
echo "$image"
