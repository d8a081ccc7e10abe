"""The same application on Ray Serve: replicas on the machines of a cluster, behind Serve's own proxies.

    serve run dualsight.interface.http.ray_serve:application model=demo replicas=2

Routes, keys, limits and answers are the application's, and so those of `dualsight serve`. What there is uvicorn's is
here the proxy's: connections, slow heads of requests, TLS, and where it listens.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from dualsight.errors import MissingExtra
from dualsight.interface.http.app import Settings, create_app

if TYPE_CHECKING:
    from ray.serve import Application


class Arguments(BaseModel):
    """What an operator chooses, as options of `serve run` or as `args` in Serve's configuration.

    model, adapter, index, keys: as for `dualsight serve`; paths are those of each machine. insecure: answers whoever
    reaches the proxy; without it and without keys only a Host that means this machine is answered. replicas: how many
    processes, each with the model; cpus: processor cores of each.
    """

    model_config = ConfigDict(extra="forbid")

    model: str = "demo"
    adapter: Path | None = None
    index: str | None = None
    keys: Path | None = None
    insecure: bool = False
    replicas: int = Field(1, ge=1)
    cpus: int = Field(1, ge=1)

    def settings(self) -> Settings:
        """As the application takes them."""
        return Settings(
            model=self.model,
            adapter=self.adapter,
            index=self.index,
            keys=self.keys,
            local_only=self.keys is None and not self.insecure,
            cores=self.cpus,
        )


def application(arguments: Arguments) -> "Application":  # Serve reads what it takes: no annotation as a string there
    """What `serve run` and `serve.run` deploy. Raises MissingExtra."""
    try:
        from ray import serve
    except ImportError as error:
        raise MissingExtra("a deployment needs Ray Serve", hint="pip install 'dualsight[ray,serve]'") from error
    settings = arguments.settings()

    def build() -> FastAPI:  # in each replica, which it begins and ends with
        return create_app(settings)

    deployed = serve.deployment(
        name="dualsight",
        num_replicas=arguments.replicas,
        max_ongoing_requests=settings.limits.connections,  # the service has a queue of its own
        ray_actor_options={"num_cpus": arguments.cpus},
    )
    return deployed(serve.ingress(build)()).bind()
