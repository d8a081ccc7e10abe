"""A stand-in for an object store: moto's S3 server, on a free port of 127.0.0.1, in this process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import fsspec
import pytest

BUCKET = "archive"


@contextmanager
def object_store() -> Iterator[fsspec.AbstractFileSystem]:
    """The store with an empty bucket; the environment says where it is, for this process and those that it starts."""
    from moto.server import ThreadedMotoServer

    log = logging.getLogger("werkzeug")
    level = log.level
    log.setLevel(logging.ERROR)  # it tells of each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",  # Lance asks for it
        "NO_PROXY": "127.0.0.1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        files = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
        files.mkdir(BUCKET)
        try:
            yield files
        finally:
            files.rm(BUCKET, recursive=True)  # moto keeps it for the next server of this process
            fsspec.core.get_filesystem_class("s3").clear_instance_cache()  # they know this store's address
            server.stop()
            log.setLevel(level)
