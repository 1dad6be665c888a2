"""Speaks with a container registry (distribution-spec 1.0) over TLS. Blocks: call it from a worker thread.

Every method raises `MachineryError` where the registry does not answer, `RegistryRefusalError` where it refuses."""

import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from typing import BinaryIO, Final, Protocol
from urllib.parse import urlencode, urlsplit

from appliance.errors import MachineryError
from appliance.model.secret import Secret
from images.oci.parts import INDEXES, MANIFESTS, Document, Part

_ACCEPTED: Final = ", ".join(sorted(INDEXES | MANIFESTS))
_ANSWER_LIMIT = 8 << 20
_BLOCK = 1 << 20
_SECONDS = 60.0
_HARMLESS = frozenset({"GET", "HEAD"})


class RegistryRefusalError(MachineryError):
    """It answers, and does not do it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`headers` by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Registry:
    """`context` trusts the appliance's authority and nobody else. Without `password` it only reads."""

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext, *, user: str = "", password: Secret | None = None
    ) -> None:
        self._where = f"{host}:{port}"
        self._connection = HTTPSConnection(host, port, timeout=_SECONDS, context=context, blocksize=_BLOCK)
        said = f"{user}:{password.reveal()}".encode() if password is not None else b""
        self._says = {"Authorization": f"Basic {b64encode(said).decode()}"} if said else {}

    def close(self) -> None:
        self._connection.close()

    def answers(self) -> bool:
        try:
            return self._ask("GET", "/v2/").status == 200
        except MachineryError:
            return False

    def size_of_blob(self, repository: str, digest: str) -> int | None:
        """In bytes, as HEAD says; None where there is no such blob."""
        return self._size("HEAD", f"/v2/{repository}/blobs/{digest}", digest)

    def size_of_manifest(self, repository: str, digest: str) -> int | None:
        return self._size("HEAD", f"/v2/{repository}/manifests/{digest}", digest)

    def manifest(self, repository: str, reference: str) -> bytes | None:
        """By digest or tag."""
        answer = self._ask("GET", f"/v2/{repository}/manifests/{reference}", {"Accept": _ACCEPTED})
        return None if answer.status == 404 else self._expected(answer, 200, f"{repository}@{reference}").body

    def stream(self, repository: str, digest: str, into: "Sink") -> bool:
        """The content of a blob, piece by piece; false where there is none."""
        target = f"/v2/{repository}/blobs/{digest}"
        try:
            self._connection.request("GET", target, headers=self._says)
            response = self._connection.getresponse()
            if response.status != 200:
                response.read(_ANSWER_LIMIT)
                return False
            while piece := response.read(_BLOCK):
                into(piece)
        except (OSError, HTTPException) as error:
            raise self._silent(target, error) from error
        return True

    def mount(self, repository: str, part: Part, source: str) -> bool:
        """Lets `repository` have a blob of another one without sending it."""
        query = urlencode({"mount": part.digest, "from": source})
        return self._ask("POST", f"/v2/{repository}/blobs/uploads/?{query}").status == 201

    def put_blob(self, repository: str, part: Part, content: BinaryIO) -> None:
        """The registry hashes what it gets, and refuses what is not `part`."""
        begun = self._expected(
            self._ask("POST", f"/v2/{repository}/blobs/uploads/"), 202, f"{repository}@{part.digest}"
        )
        there = urlsplit(begun.headers.get("location", ""))
        joined = "&".join(filter(None, (there.query, urlencode({"digest": part.digest}))))
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(part.size)}
        answer = self._ask("PUT", f"{there.path}?{joined}", headers, content)
        self._expected(answer, 201, f"{repository}@{part.digest}")

    def put_manifest(self, repository: str, reference: str, document: Document) -> None:
        headers = {"Content-Type": document.media}
        answer = self._ask("PUT", f"/v2/{repository}/manifests/{reference}", headers, document.raw)
        self._expected(answer, 201, f"{repository}@{document.digest}")

    def delete_manifest(self, repository: str, digest: str) -> None:
        """With all its tags. What is not there is deleted already."""
        answer = self._ask("DELETE", f"/v2/{repository}/manifests/{digest}")
        if answer.status != 404:
            self._expected(answer, 202, f"{repository}@{digest}")

    def _size(self, method: str, target: str, digest: str) -> int | None:
        answer = self._ask(method, target, {"Accept": _ACCEPTED})
        if answer.status == 404:
            return None
        self._expected(answer, 200, target)
        if answer.headers.get("docker-content-digest", digest) != digest:
            return None
        return int(answer.headers.get("content-length", "-1"))

    def _ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | BinaryIO | None = None
    ) -> Answer:
        said = self._says | dict(headers or {})
        try:
            return self._answered(method, target, said, body)
        except (OSError, HTTPException) as error:
            self._connection.close()  # one that was idle may be closed at the other end: reading is tried once more
            if method not in _HARMLESS:
                raise self._silent(f"{method} {target}", error) from error
        try:
            return self._answered(method, target, said, body)
        except (OSError, HTTPException) as error:
            raise self._silent(f"{method} {target}", error) from error

    def _answered(self, method: str, target: str, headers: Mapping[str, str], body: bytes | BinaryIO | None) -> Answer:
        self._connection.request(method, target, body=body, headers=headers)
        response = self._connection.getresponse()
        content = response.read(_ANSWER_LIMIT)
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answer(status=response.status, headers=named, body=content)

    def _silent(self, asked: str, error: Exception) -> MachineryError:
        self._connection.close()
        return MachineryError(
            f"the container registry at {self._where} does not answer",
            evidence=f"{asked[:200]}: {error or type(error).__name__}"[:400],
            next_action="see how it is: innervate doctor",
        )

    def _expected(self, answer: Answer, status: int, about: str) -> Answer:
        if answer.status == status:
            return answer
        self._connection.close()
        said = answer.body[:300].decode("utf-8", "replace")
        raise RegistryRefusalError(
            f"the container registry refuses {about[:200]}",
            evidence=f"status {answer.status}: {said}",
            next_action="see whether its disk has room, and how it is: innervate doctor; then do it again",
        )


class Sink(Protocol):
    def __call__(self, piece: bytes, /) -> object: ...
