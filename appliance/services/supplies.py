"""What nodes of a cluster are made from: the files and images of an artifact set, all there before anything begins."""

import asyncio
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from appliance.errors import ClusterError, IncompleteError, MachineryError
from appliance.model.cluster import SetRef
from appliance.services.sets import SetDesk
from images.artifact_set import ArtifactSet, SetFile


class Supplies:
    """`lend` offers files to nodes, by their SHA-256."""

    def __init__(self, sets: SetDesk, lend: Callable[[Mapping[str, Path]], None]) -> None:
        self._sets, self._lend = sets, lend

    @property
    def authority(self) -> str:
        return self._sets.place.authority

    def described(self, ref: SetRef) -> ArtifactSet:
        """Raises `ClusterError` where the set of that name is another one now, `NotFoundError` where there is none."""
        found = self._sets.described(ref.name)
        if SetRef.of(ref.name, found) != ref:
            raise ClusterError(
                f"the artifact set {ref.name} is another one than the plan was made with",
                evidence=f"planned with {ref.sha256[:12]}",
                next_action="plan again",
            )
        return found

    async def content(self, ref: SetRef, role: str) -> bytes | None:
        """Of the one file of that role, None where the set has none. Raises `InnervateError` where it is not what it
        should be."""
        match self.described(ref).of_role(role):
            case ():
                return None
            case (file,):
                pass
            case several:
                names = ", ".join(file.name for file in several)[:200]
                raise ClusterError(
                    f"{ref.name} has several files for {role}", evidence=names, next_action="package it again"
                )
        return await self._read(ref, file)

    async def contents(self, ref: SetRef, role: str) -> Mapping[str, bytes]:
        """Of all files of that role, by name. Raises `InnervateError` where one is not what it should be."""
        return {file.name: await self._read(ref, file) for file in self.described(ref).of_role(role)}

    async def _read(self, ref: SetRef, file: SetFile) -> bytes:
        path = self._sets.path_of(ref.name, file)
        try:
            content = await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise MachineryError(
                f"{path} cannot be read", evidence=str(error)[:200], next_action="import the set again"
            ) from error
        if sha256(content).hexdigest() != file.sha256:
            raise IncompleteError(
                f"{file.name} of {ref.name} was changed",
                evidence=f"expected sha256 {file.sha256}",
                next_action="import the set again",
            )
        return content

    async def ready(self, ref: SetRef) -> None:
        """Each of its digests was asked for and answered; nodes get its files from now on. Raises `InnervateError`."""
        self.described(ref)
        await self._sets.require(ref.name)
        await asyncio.to_thread(self.offer, ref)

    def offer(self, ref: SetRef) -> None:
        """Nodes get its files from now on, whether its images answer or not. Raises `InnervateError`."""
        files = {file.sha256: self._sets.path_of(ref.name, file) for file in self.described(ref).files}
        try:
            self._lend(files)
        except OSError as error:
            raise MachineryError(
                f"files of {ref.name} cannot be read", evidence=str(error)[:200], next_action="import the set again"
            ) from error
