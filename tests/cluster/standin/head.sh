#!/bin/sh
# STAND-IN for a program of Rancher's: what follows this head is a compressed tar of real Kubernetes programs, and of a
# Python that runs them as k3s would. Like the genuine one it unpacks itself at first use.
set -eu
program=@PROGRAM@ hash=@HASH@ offset=@OFFSET@
self=$(readlink -f "$0")
data=/var/lib/rancher/$program/data
if ! [ -d "$data/$hash" ]; then
    mkdir -p "$data"
    rm -rf "$data/.$hash"
    mkdir "$data/.$hash"
    tail -c "+$offset" "$self" | zstd -dcq | tar -C "$data/.$hash" -xf -
    mv "$data/.$hash" "$data/$hash"
fi
ln -sfn "$data/$hash" "$data/current"
[ "$program" != rke2 ] || ln -sfn "$data/current/bin" /var/lib/rancher/rke2/bin
here=$data/$hash/python
exec env "LD_LIBRARY_PATH=$here/lib" "PYTHONHOME=$here" "$here/bin/python3" -B "$data/$hash/standin" "$program" "$@"
