# ruff: noqa: S310  nothing but https is asked
"""A Kubernetes API in a few verbs, and who asks it."""

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

MERGE = "application/merge-patch+json"


class Api:
    """`token` is a bearer's, `pair` a client's certificate and key. Without `ca` nobody's certificate is looked at."""

    def __init__(self, url: str, ca: Path | None, pair: Path | None = None, token: str = "") -> None:
        self.url, self._token = url, token
        self._context = ssl.create_default_context(cafile=str(ca)) if ca else ssl._create_unverified_context()  # noqa: S323
        if pair:
            self._context.load_cert_chain(f"{pair}.crt", f"{pair}.key")

    def ask(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        if data:
            request.add_header("Content-Type", kind)
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        with urllib.request.urlopen(request, timeout=10, context=self._context) as answer:
            text = answer.read().decode()
        return json.loads(text) if text.startswith("{") else text

    def put(self, collection: str, document: dict[str, Any]) -> None:
        """Made, or made anew."""
        name = document["metadata"]["name"]
        try:
            self.ask("POST", collection, document)
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise
            self.ask("PATCH", f"{collection}/{name}", document, MERGE)

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz") == "ok"
        except (OSError, ValueError):
            return False


def kubeconfig(server: str, ca: Path, pair: Path) -> str:
    """JSON, which is YAML; everything inside, as in the genuine one."""
    from base64 import b64encode

    def data(path: Path) -> str:
        return b64encode(path.read_bytes()).decode()

    user = {
        "client-certificate-data": data(pair.with_suffix(".crt")),
        "client-key-data": data(pair.with_suffix(".key")),
    }
    cluster = {"server": server, "certificate-authority-data": data(ca)}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "default", "cluster": cluster}],
            "users": [{"name": "default", "user": user}],
            "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
            "current-context": "default",
        },
        indent=1,
    )
