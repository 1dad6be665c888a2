#!/bin/sh
# Becomes a node: node.sh enter NAME TREE SCRATCH GROUPS SEED, on the ground (see nodes.py).
#
# NAME is also its network namespace's. TREE stays as it is: what the node writes is in SCRATCH, its disk, which is in
# memory and the ground's: a node that starts again finds it there.
# SEED is laid over it. GROUPS lists this node's control groups, and how it is to mount them: FOLDER KIND OPTIONS PLACE.
set -eu
step=$1 name=$2 tree=$3 scratch=$4 groups=$5 seed=$6

if [ "$step" = enter ]; then
    mountpoint -q "$scratch" || mount -t tmpfs node "$scratch"
    while read -r folder _; do echo 0 >"$folder/cgroup.procs"; done <"$groups"
    exec nsenter "--net=/run/netns/$name" \
        unshare --cgroup --mount --uts --ipc --pid --fork --kill-child \
        sh "$0" inside "$name" "$tree" "$scratch" "$groups" "$seed"
fi

mount --make-rprivate /
mkdir -p "$scratch/upper" "$scratch/work" "$scratch/root" "$scratch/sysctl"
root=$scratch/root
mount -t overlay node -o "lowerdir=$tree,upperdir=$scratch/upper,workdir=$scratch/work" "$root"
# An overlay cannot lie on an overlay: containers' files lie beside it.
for folder in containerd containers rancher; do
    mkdir -p "$scratch/$folder" "$root/var/lib/$folder"
    mount --bind "$scratch/$folder" "$root/var/lib/$folder"
done
# What all nodes of a ground share, where it has such a folder: as if it were another machine's storage.
if [ -d "${seed%/*}/shared" ]; then
    mkdir -p "$root/srv/shared"
    mount --bind "${seed%/*}/shared" "$root/srv/shared"
fi

mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount --bind "$root/proc/sys/net" "$root/proc/sys/net" -o rw
mount -o remount,bind,rw "$root/proc/sys/net"
# A kubelet sets these: on a copy of them, because they are the whole machine's.
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    copy=$scratch/sysctl/$(basename "$setting")
    cat "/proc/sys/$setting" >"$copy"
    mount --bind "$copy" "$root/proc/sys/$setting"
done

mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
while read -r _ kind options place; do
    mkdir -p "$root/sys/fs/cgroup/$place"
    mount -t "$kind" ${options:+-o "$options"} cgroup "$root/sys/fs/cgroup/$place"
done <"$groups"

mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty kmsg; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"

cp -R "$seed/." "$root/"
chmod 700 "$root/root" "$root/root/.ssh"
chmod 755 "$root" "$root/etc" "$root/etc/ssh"
hostname "$name"
echo "$name" >"$root/etc/hostname"
# As the image's first boot writes it: container runtimes copy it into pods.
[ -e "$root/etc/hosts" ] || printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" >"$root/etc/hosts"
cd "$root"
pivot_root . mnt
umount -l /mnt
# On a kernel in user mode every program has to do without some registers (tests/guest/run.py): it is told to each.
set --
for name in GLIBC_TUNABLES OPENSSL_ia32cap; do
    value=$(printenv "$name") || continue
    set -- "$@" "systemd.setenv=$name=$value"
done
# On a machine with the old control groups systemd wants to be told that it may: on its "kernel's" command line, which in
# a container is its own.
exec setpriv --bounding-set=-sys_module,-sys_time env -i container=innervate PATH=/usr/sbin:/usr/bin \
    ${GLIBC_TUNABLES:+"GLIBC_TUNABLES=$GLIBC_TUNABLES"} /usr/lib/systemd/systemd "$@" \
    SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 systemd.legacy_systemd_cgroup_controller=1
