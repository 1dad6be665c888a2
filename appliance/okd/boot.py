"""What the live system of SCOS is told on its kernel's command line. Pure.

Source: coreos/coreos-installer, docs/getting-started.md, "Kernel command line options for coreos-installer running as
a service"; the ramdisk's own `initrd=` is in every boot script. What is fetched by the kernel's words travels by HTTP.
"""

from appliance.model.okd import OkdHost, OkdSpec
from appliance.okd.ignition import LIVE, NODE, is_single


def live_words(spec: OkdSpec, host: OkdHost, rootfs: str, tell: str) -> tuple[str, ...]:
    """`rootfs` is the URL of the live root file system, `tell` that below which this boot's files are."""
    common = (
        f"coreos.live.rootfs_url={rootfs}",
        "rd.neednet=1",
        "ip=dhcp",
        "ignition.firstboot",
        "ignition.platform.id=metal",
        f"ignition.config.url={tell}/{LIVE}",
    )
    if is_single(spec):
        return common
    return (*common, f"coreos.inst.install_dev={host.device}", f"coreos.inst.ignition_url={tell}/{NODE}")
