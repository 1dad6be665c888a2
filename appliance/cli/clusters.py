"""`innervate cluster`: what there is, what each says of itself, and the key to it."""

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.complete import a_cluster
from appliance.cli.context import Json, Lines, client_of, print_json
from appliance.errors import UsageError

Cluster = Annotated[str, typer.Argument(metavar="NAME", autocompletion=a_cluster, help="See: innervate cluster list.")]
Output = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="Write it there, for nobody else to read.")
]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_clusters)
    for verb in (show, kubeconfig):
        group.command()(verb)
    app.add_typer(group, name="cluster", help="Clusters: their API, their nodes, and the key to them.")


def list_clusters(context: typer.Context, as_json: Json = False, lines: Lines = False) -> None:
    """Show the clusters that there are, whether each answers, and how many of its nodes are ready."""
    from appliance.cli import show_clusters as text

    client = client_of(context)
    if lines:
        for page in client.cluster_pages():
            for cluster in page.clusters:
                print_json(cluster)
        return
    view = client.clusters()
    print_json(view) if as_json else text.console().print(text.clusters(view))


def show(context: typer.Context, name: Cluster, as_json: Json = False) -> None:
    """Show what a cluster says of itself, node by node, and what it waits for.

    Example: innervate cluster show prod
    """
    from appliance.cli import show_clusters as text

    view = client_of(context).cluster(name)
    print_json(view) if as_json else text.console().print(text.cluster(view))


def kubeconfig(context: typer.Context, name: Cluster, output: Output = None) -> None:
    """Print the kubeconfig of a cluster's admin: whoever has it may do everything there. It is in the audit log.

    Example: innervate cluster kubeconfig prod --output ~/.kube/prod
    """
    config = client_of(context).kubeconfig(name).reveal()
    if output is None:
        print(config, end="")
        return
    from appliance.files import write_whole

    try:
        write_whole(output, config.encode(), mode=0o600)
    except OSError as error:
        raise UsageError(
            f"cannot write {output}", evidence=str(error), next_action="name a file in a folder that you may write to"
        ) from error
    print(f"kubectl --kubeconfig {output} get nodes")
