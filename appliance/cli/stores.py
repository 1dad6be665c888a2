"""`innervate image` and `innervate network`: what the appliance has to give, and who has it."""

from typing import Annotated

import typer

from appliance.cli.context import Json, Lines, client_of, print_json
from appliance.model.words import AddressState

Image = Annotated[str, typer.Argument(metavar="IMAGE", help="Its name, or its version.")]
Network = Annotated[str, typer.Option(metavar="NETWORK", help="Only of this one, such as 10.77.0.0/24.")]


def add_to(app: typer.Typer) -> None:
    images, networks = (typer.Typer(no_args_is_help=True, rich_markup_mode=None) for _ in range(2))
    images.command("ls")(image_ls)
    images.command("show")(image_show)
    networks.command("ls")(network_ls)
    networks.command("leases")(network_leases)
    app.add_typer(images, name="image", help="What is in the artefact store, and which machines run it.")
    app.add_typer(networks, name="network", help="The boot networks, their addresses and other DHCP servers.")


def image_ls(context: typer.Context, as_json: Json = False, lines: Lines = False) -> None:
    """Show what machines boot and install, and what else is in the store."""
    from appliance.cli import show_stores as show

    view = client_of(context).images()
    if lines:
        for image in view.images:
            print_json(image)
        return
    print_json(view) if as_json else show.console().print(show.images(view))


def image_show(context: typer.Context, image: Image, as_json: Json = False) -> None:
    """Show an image with all that it is made of."""
    from appliance.cli import show_stores as show

    view = client_of(context).image(image)
    print_json(view) if as_json else show.console().print(show.image(view))


def network_ls(context: typer.Context, as_json: Json = False, lines: Lines = False) -> None:
    """Show the boot networks, how full their pools are, and which other DHCP servers were heard."""
    import time

    from appliance.cli import show_stores as show

    view = client_of(context).networks()
    if lines:
        for network in view.networks:
            print_json(network)
        return
    print_json(view) if as_json else show.console().print(show.networks(view, time.time()))


def network_leases(
    context: typer.Context,
    network: Network = "",
    state: Annotated[AddressState | None, typer.Option(help="Only those in this state.")] = None,
    as_json: Json = False,
    lines: Lines = False,
) -> None:
    """Show which address is whose: leases, and reservations of the site program.

    Example: innervate network leases --state declined
    """
    import time

    from appliance.cli import show_stores as show

    client = client_of(context)
    if lines:
        for page in client.lease_pages(network, state):
            for lease in page.leases:
                print_json(lease)
        return
    view = client.leases(network, state)
    print_json(view) if as_json else show.console().print(show.leases(view, time.time()))
