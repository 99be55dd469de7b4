#!/bin/sh
# Make a base image from Debian's packages, for a machine that pulls no images: sh deploy/image/base.sh NAME
# It takes the place of the official Python image: Debian's own Python, and what a slim image has.
set -eu
name=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$root/rootfs.tar"
printf 'FROM scratch\nADD rootfs.tar /\n' > "$root/Dockerfile"
buildah bud --isolation chroot --format docker --quiet --tag "$name" "$root"
