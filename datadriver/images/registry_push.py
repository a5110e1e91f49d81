"""One image into a registry: the layers of its base by reference, its own two small blobs, then its manifest.

A first image of a repository takes two questions, a request for each layer of the base, and five for its own parts;
the next ones on the same base seven requests in all; one that is there already, one. Blobs are mounted from where they
are (https://github.com/opencontainers/distribution-spec/blob/main/spec.md#mounting-a-blob-from-another-repository): a
registry that cannot do so opens an upload instead, so that asking for a mount costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from datadriver.errors import ConfigError
from datadriver.images.names import check_name
from datadriver.images.registry_answers import Answer, NotNowError, refusal
from datadriver.images.registry_connection import Body, Connection
from datadriver.images.spec import MANIFEST_TYPE, Descriptor, Image

_PIECE = 1 << 20
_ROUNDS = 3
"""So often are blobs sent that the registry does not find when it gets the manifest: two pushers of the same image can
do that to each other, and so does a disk that was full."""
_GONE = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "DIGEST_INVALID"})
"""The upload was begun with a registry that was restarted since, or the answer to its end was lost."""


async def push_image(connection: Connection, image: Image, base_repository: str) -> None:
    """Push an image, unless the registry has it.

    Raises:
        ConfigError: the registry refuses it, or its base is not there.
        UnavailableError: the registry did not answer for as long as the connection is patient.
    """
    check_name(image.name)
    if not image.base.layers:
        raise ConfigError(f"{image.name}: its base image is not in registry {connection.host} yet: push that first")
    push = _Push(connection, image, base_repository)
    if await push.is_there():
        return
    mounted = await push.has_last_layer()
    for _ in range(_ROUNDS):
        await push.send_blobs(mounted=mounted)
        if await push.tag():
            return
        mounted = False
    await connection.patiently(push.tag_or_fail)


@dataclass(frozen=True)
class _Push:
    connection: Connection
    image: Image
    base_repository: str

    @property
    def doing(self) -> str:
        return f"pushing {self.image.name}"

    @property
    def scopes(self) -> tuple[str, ...]:
        return f"repository:{self.image.repository}:pull,push", f"repository:{self.base_repository}:pull"

    @property
    def manifest(self) -> str:
        return f"/v2/{self.image.repository}/manifests/{self.image.tag}"

    async def is_there(self) -> bool:
        answer = await self._send("HEAD", self.manifest, headers={"Accept": MANIFEST_TYPE})
        return answer.status == 200 and answer.headers.get("docker-content-digest") == self.image.digest

    async def has_last_layer(self) -> bool:
        """Tell whether the repository has the base's last layer: then an image on this base was here before."""
        digest = self.image.base.layers[-1].digest
        return (await self._send("HEAD", f"/v2/{self.image.repository}/blobs/{digest}")).status == 200

    async def tag(self) -> bool:
        """Put the manifest; False where the registry says that it lacks something or does not find it."""
        try:
            answer = await self._put_manifest()
        except NotNowError:
            return False
        if answer.status >= 400 and not {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"} & {*answer.codes}:
            raise refusal(answer, self.connection.host, self.doing)
        return answer.status < 400

    async def tag_or_fail(self) -> None:
        answer = await self._put_manifest()
        if answer.status >= 400:
            raise refusal(answer, self.connection.host, self.doing)

    async def _put_manifest(self) -> Answer:
        return await self._once("PUT", self.manifest, body=self.image.manifest, headers={"Content-Type": MANIFEST_TYPE})

    async def upload(self, content: bytes, digest: str) -> None:
        """Upload a blob of ours, unless this repository has it."""

        async def step() -> None:
            location = await self._begin(digest, self.image.repository)
            if location is not None:
                await self._finish(location, digest, content, len(content))

        await self.connection.patiently(step)

    async def send_blobs(self, *, mounted: bool) -> None:
        """See that all blobs are there, at the same time; the first error ends it and is raised as it is."""
        own = ((self.image.layer, self.image.layer_digest), (self.image.config, self.image.id))
        try:
            async with asyncio.TaskGroup() as group:
                for content, digest in own:
                    group.create_task(self.upload(content, digest))
                for layer in () if mounted else self.image.base.layers:
                    group.create_task(self.mount(layer))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def mount(self, layer: Descriptor) -> None:
        """Give the repository a layer of the base, by reference or, where that is not possible, as a copy."""

        async def step() -> None:
            location = await self._begin(layer.digest, self.base_repository)
            if location is not None:
                async with self._layer(layer) as content:
                    await self._finish(location, layer.digest, content, layer.size)

        await self.connection.patiently(step)

    async def _begin(self, digest: str, source: str) -> str | None:
        """Ask for a blob of another repository, and return None, or where to upload it."""
        path = f"/v2/{self.image.repository}/blobs/uploads/?mount={digest}&from={source}"
        answer = await self._once("POST", path)
        if answer.status == 201:
            return None
        if answer.status == 202 and "location" in answer.headers:
            return answer.headers["location"]
        raise refusal(answer, self.connection.host, self.doing)

    async def _finish(self, location: str, digest: str, content: Body, size: int) -> None:
        path = f"{location}{'&' if '?' in location else '?'}digest={digest}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        answer = await self._once("PUT", path, body=content, headers=headers)
        if answer.status in (201, 204):
            return
        if answer.status == 404 or _GONE & {*answer.codes}:
            raise NotNowError(f"registry {self.connection.host}, {self.doing}: lost an upload ({answer.says})")
        raise refusal(answer, self.connection.host, self.doing)

    @asynccontextmanager
    async def _layer(self, layer: Descriptor) -> AsyncIterator[AsyncIterator[bytes]]:
        path = f"/v2/{self.base_repository}/blobs/{layer.digest}"
        async with self.connection.stream("GET", path, scopes=self.scopes, doing=self.doing) as response:
            if response.status == 404:
                raise ConfigError(
                    f"{self.image.name}: layer {layer.digest[:19]}… of its base image is not in "
                    f"{self.base_repository} of registry {self.connection.host}. Push the base image again"
                )
            if response.status != 200:
                raise refusal(Answer(response.status, {}), self.connection.host, self.doing)
            yield response.content.iter_chunked(_PIECE)

    async def _send(
        self, method: str, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        return await self.connection.patiently(lambda: self._once(method, path, body=body, headers=headers))

    async def _once(
        self, method: str, path: str, *, body: Body | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        return await self.connection.send(
            method, path, scopes=self.scopes, doing=self.doing, body=body, headers=headers
        )
