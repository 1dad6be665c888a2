"""The daemon's part that makes support bundles: what only it has, and which secrets it knows."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from appliance import __version__
from appliance.config import Settings
from appliance.errors import UsageError
from appliance.logbook import Logbook
from appliance.services.bmcs import BmcDesk
from appliance.services.program import SiteProgram
from appliance.services.support import SupportDesk
from appliance.services.webhooks import secret_of


def supporting(
    settings: Settings, book: Logbook, bmcs: BmcDesk, program: SiteProgram, setup_code: Callable[[], str]
) -> SupportDesk:
    def known() -> Iterator[str]:
        yield from bmcs.secrets()
        yield from program.secrets
        yield setup_code()
        for hook in settings.webhooks:
            with suppress(UsageError):  # it was read when the daemon started
                yield secret_of(hook).reveal()

    return SupportDesk(
        log=book.text,
        known=known,
        folders={"the state folder": settings.state_dir, "the image store": settings.images_dir},
        settings=(
            f"innervate {__version__}",
            f"ramdisk {settings.ramdisk.value}",
            f"https_port {settings.https_port}",
            f"redfish_port {settings.redfish_port}",
            f"console_port {settings.console_port}",
            f"webhooks {len(settings.webhooks)}",
            f"syslog {'none' if settings.syslog is None else settings.syslog.transport.value}",
        ),
    )
