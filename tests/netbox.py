"""A NetBox of a few devices, with the shapes of its REST API: pages with `next`, filters, PATCH, its words for errors.

Written after the documentation of NetBox 4 ("REST API"); no real NetBox was asked.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

TOKEN = "0123456789abcdef0123456789abcdef01234567"
_LONGEST_SERIAL = 50


def device(number: int, name: str | None, **more: Any) -> dict[str, Any]:
    """As `dcim/devices/` shows one."""
    return {
        "id": number,
        "url": f"http://localhost/api/dcim/devices/{number}/",
        "display": name or "Unnamed device",
        "name": name,
        "device_type": {
            "id": 1,
            "display": "R7",
            "manufacturer": {"id": 1, "name": "Acme"},
            "model": "R7",
            "slug": "r7",
        },
        "role": {"id": 1, "display": "Server", "name": "Server", "slug": "server"},
        "site": {"id": 1, "display": "Zurich", "name": "Zurich", "slug": "zurich"},
        "rack": None,
        "position": None,
        "face": None,
        "serial": "",
        "asset_tag": None,
        "status": {"value": "active", "label": "Active"},
        "primary_ip": None,
        "primary_ip4": None,
        "primary_ip6": None,
        "oob_ip": None,
        "custom_fields": {},
        **more,
    }


def placed(rack: str, position: float, face: str = "front") -> dict[str, Any]:
    return {
        "rack": {"id": 9, "display": rack, "name": rack},
        "position": position,
        "face": {"value": face, "label": face.title()},
    }


def ip(text: str) -> dict[str, Any]:
    return {"id": hash(text) % 1000, "display": text, "family": {"value": 4, "label": "IPv4"}, "address": text}


def interface(device: int, name: str, mac: str | None, *, mgmt_only: bool = False) -> dict[str, Any]:
    return {
        "id": device * 100 + sum(map(ord, name)) % 100,
        "device": {"id": device, "display": "x", "name": "x"},
        "name": name,
        "type": {"value": "1000base-t", "label": "1000BASE-T (1GE)"},
        "enabled": True,
        "mac_address": mac,
        "primary_mac_address": None,
        "mgmt_only": mgmt_only,
        "cable": None,
        "link_peers": [],
    }


@dataclass
class FakeNetBox:
    devices: list[dict[str, Any]] = field(default_factory=list)
    interfaces: list[dict[str, Any]] = field(default_factory=list)
    types: list[dict[str, Any]] = field(default_factory=lambda: [{"id": 1, "model": "R7", "u_height": 2.0}])
    page: int = 2
    url: str = ""
    next_host: str = ""
    addresses: list[dict[str, Any]] = field(default_factory=list)
    macs: list[dict[str, Any]] = field(default_factory=list)
    cables: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    patched: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    def answer(self, method: str, target: str, token: str, body: bytes) -> tuple[int, object]:
        self.asked.append(f"{method} {target}")
        if token != f"Token {TOKEN}":
            return 403, {"detail": "Invalid token"}
        parts = urlsplit(target)
        every = parse_qs(parts.query)
        query = {name: values[-1] for name, values in every.items()}
        match method, parts.path.removeprefix("/api/").strip("/").split("/"):
            case "GET", ["dcim", "devices"]:
                return self._list(parts.path, query, self.devices)
            case "GET", ["dcim", "device-types"]:
                return self._list(parts.path, query, self.types)
            case "GET", ["dcim", "interfaces"]:
                return self._list(parts.path, query, self.interfaces)
            case "GET", ["ipam", "ip-addresses"]:
                return self._list(parts.path, query, [one for one in self.addresses if self._is_wanted(one, every)])
            case "PATCH", ["dcim", "devices", number]:
                return self._patch(int(number), json.loads(body))
            case ("POST", [_, _]) | ("PATCH", [_, _, _]):
                return self._changed(method, parts.path.removeprefix("/api/").strip("/"), json.loads(body))
            case _:
                return 404, {"detail": "Not found."}

    def _is_wanted(self, one: dict[str, Any], query: dict[str, list[str]]) -> bool:
        owner = self._interface(one["assigned_object_id"] or 0)
        if owners := query.get("device_id"):
            return owner is not None and str(owner["device"]["id"]) in owners
        return one["address"].partition("/")[0] in query.get("address", [])

    def _interface(self, number: int) -> dict[str, Any] | None:
        return next((one for one in self.interfaces if one["id"] == number), None)

    def _changed(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, object]:
        """Each object asks for what NetBox's models ask for."""
        match method, path.split("/"):
            case "POST", ["dcim", "interfaces"]:
                if (body["device"], body["name"]) in {(one["device"]["id"], one["name"]) for one in self.interfaces}:
                    return 400, {"__all__": ["Interface with this Device and Name already exists."]}
                made = {**interface(body["device"], body["name"], None), "id": 9000 + len(self.interfaces)}
                self.interfaces.append(made)
                return 201, made
            case "POST", ["dcim", "mac-addresses"]:
                self.macs.append(body | {"id": 500 + len(self.macs)})
                return 201, self.macs[-1]
            case "PATCH", ["dcim", "interfaces", number]:
                known = next((one for one in self.macs if one["id"] == body["primary_mac_address"]), None)
                if known is None or known["assigned_object_id"] != int(number):
                    return 400, {"primary_mac_address": ["MAC address is not assigned to this interface."]}
                port = self._interface(int(number))
                assert port is not None
                port["mac_address"] = known["mac_address"].upper()
                return 200, port
            case "POST", ["dcim", "cables"]:
                return self._cabled(body)
            case "POST", ["ipam", "ip-addresses"]:
                if any(one["address"] == body["address"] for one in self.addresses):
                    return 400, {"address": ["Duplicate IP address found in global table"]}
                self.addresses.append(body | {"id": 700 + len(self.addresses)})
                return 201, self.addresses[-1]
            case "PATCH", ["ipam", "ip-addresses", number]:
                found = next(one for one in self.addresses if one["id"] == int(number))
                found |= body
                return 200, found
            case _:
                return 404, {"detail": "Not found."}

    def _cabled(self, body: dict[str, Any]) -> tuple[int, object]:
        ends = [self._interface(body[f"{side}_terminations"][0]["object_id"]) for side in "ab"]
        near, far = ends
        if near is None or far is None or near["cable"] or far["cable"]:
            return 400, {"__all__": ["Duplicate termination found"]}
        self.cables.append(body | {"id": 800 + len(self.cables)})
        for one, other in ((near, far), (far, near)):
            one["cable"] = {"id": self.cables[-1]["id"]}
            name = next(device["name"] for device in self.devices if device["id"] == other["device"]["id"])
            one["link_peers"] = [{"name": other["name"], "device": {"id": other["device"]["id"], "name": name}}]
        return 201, self.cables[-1]

    def _list(self, path: str, query: dict[str, str], rows: list[dict[str, Any]]) -> tuple[int, object]:
        site = query.get("site")
        if site not in (None, "zurich"):
            return 400, {"site": [f"Select a valid choice. {site} is not one of the available choices."]}
        offset, limit = int(query.get("offset", 0)), min(int(query.get("limit", 50)), self.page)
        following = None
        if offset + limit < len(rows):
            more = urlencode({**query, "limit": limit, "offset": offset + limit})
            following = f"{self.next_host or self.url}{path}?{more}"
        return 200, {"count": len(rows), "next": following, "previous": None, "results": rows[offset : offset + limit]}

    def _patch(self, number: int, body: dict[str, Any]) -> tuple[int, object]:
        found = next((one for one in self.devices if one["id"] == number), None)
        if found is None:
            return 404, {"detail": "No Device matches the given query."}
        if len(body.get("serial", "")) > _LONGEST_SERIAL:
            return 400, {"serial": ["Ensure this field has no more than 50 characters."]}
        if (primary := body.get("primary_ip4")) is not None:
            known = next((one for one in self.addresses if one["id"] == primary), None)
            owner = self._interface(known["assigned_object_id"] or 0) if known else None
            if known is None or owner is None or owner["device"]["id"] != found["id"]:
                return 400, {"primary_ip4": ["The specified IP address is not assigned to this device."]}
            found["primary_ip4"] = {"id": primary, "address": known["address"]}
            return 200, found
        if found.get("locked"):
            return 400, {"__all__": ["\x1b[31mA device of this role cannot be changed"]}
        found |= body
        self.patched.append((number, body))
        return 200, found


@contextmanager
def serving(netbox: FakeNetBox) -> Iterator[FakeNetBox]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, document = netbox.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_PATCH = do_POST = do_GET  # noqa: N815  http.server looks it up by name

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    netbox.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield netbox
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
