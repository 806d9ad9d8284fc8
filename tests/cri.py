"""The Container Runtime Interface of a containerd: what a kubelet asks for a pod and its containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from cri_api.v1 import api_pb2 as api
from cri_api.v1.api_pb2_grpc import RuntimeServiceStub

from tests.containerd import IMAGE
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


class Cri:
    """Calls of the runtime service by name: ``cri.StopContainer(container_id=ID)``; the answer is the response."""

    def __init__(self, socket: Path) -> None:
        self._channel = grpc.insecure_channel(f"unix:{socket}")
        self._service = RuntimeServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def __getattr__(self, name: str) -> Any:
        request = getattr(api, f"{name}Request")
        call = getattr(self._service, name)
        return lambda **fields: call(request(**fields), timeout=PATIENCE)


class Pod:
    """A pod, as a context: at its end it is stopped and removed, with its containers."""

    def __init__(self, cri: Cri, cgroup: str, logs: Path, *, hostname: str = "", **linux: Any) -> None:
        self.cri = cri
        self.logs = logs
        self.config = api.PodSandboxConfig(
            metadata=api.PodSandboxMetadata(name="pod", uid=logs.name, namespace="tests"),
            hostname=hostname,
            log_directory=str(logs),
            linux=api.LinuxPodSandboxConfig(cgroup_parent=cgroup, **linux),
        )

    def __enter__(self) -> Self:
        self.id = self.cri.RunPodSandbox(config=self.config).pod_sandbox_id
        return self

    def __exit__(self, *_: object) -> None:
        self.cri.StopPodSandbox(pod_sandbox_id=self.id)
        self.cri.RemovePodSandbox(pod_sandbox_id=self.id)

    def create(self, *command: str, **linux: Any) -> str:
        """Create a container in it; its id."""
        config = api.ContainerConfig(
            metadata=api.ContainerMetadata(name="main"),
            image=api.ImageSpec(image=IMAGE),
            command=command,
            log_path="main.log",
            linux=api.LinuxContainerConfig(**linux),
        )
        created = self.cri.CreateContainer(pod_sandbox_id=self.id, config=config, sandbox_config=self.config)
        return str(created.container_id)
