#!/bin/bash
# A dracut module: which disk is meant, the network by MAC, and the appliance's ear for how it went.

check() {
    return 0
}

depends() {
    echo ignition systemd-networkd systemd-emergency
}

install() {
    inst_multiple curl cut grep head journalctl mkdir mount readlink sed sha256sum sleep sync systemctl tail tr umount
    inst_script "$moddir/is-root" /usr/lib/innervate/is-root
    inst_script "$moddir/applied" /usr/lib/innervate/applied
    inst_script "$moddir/refused" /usr/lib/innervate/refused
    inst_script "$moddir/unlabelled" /usr/lib/innervate/unlabelled
    inst_script "$moddir/setfiles" /usr/sbin/setfiles
    inst_simple "$moddir/tell" /usr/lib/innervate/tell
    inst_simple "$moddir/70-innervate.rules" /usr/lib/udev/rules.d/70-innervate.rules
    inst_simple "$moddir/10-innervate.network" /etc/systemd/network/10-innervate.network
    inst_simple "$moddir/online.conf" "$systemdsystemunitdir/systemd-networkd-wait-online.service.d/zz-innervate.conf"
    for stage in fetch files; do
        inst_simple "$moddir/network.conf" "$systemdsystemunitdir/ignition-$stage.service.d/innervate.conf"
    done
    inst_simple "$moddir/files.conf" "$systemdsystemunitdir/ignition-files.service.d/selinux.conf"
    inst_simple "$moddir/innervate-applied.service" "$systemdsystemunitdir/innervate-applied.service"
    inst_simple "$moddir/innervate-refused.service" "$systemdsystemunitdir/innervate-refused.service"
    mkdir -p "$initdir$systemdsystemunitdir/emergency.target.wants"
    ln_r "$systemdsystemunitdir/innervate-applied.service" \
        "$systemdsystemunitdir/ignition-complete.target.requires/innervate-applied.service"
    ln_r "$systemdsystemunitdir/innervate-refused.service" \
        "$systemdsystemunitdir/emergency.target.wants/innervate-refused.service"
}
