"""What a command cannot do without, and an extra of the package brings."""

from __future__ import annotations

from importlib import import_module


def need(what: str, extra: str, *libraries: str) -> None:
    """Raises MissingExtra where one of the libraries is not installed; `what` is it that needs them."""
    try:
        for library in libraries:
            import_module(library)
    except ImportError as error:
        from dualsight.errors import MissingExtra

        raise MissingExtra(f"{what} needs {error.name}", hint=f"pip install 'dualsight[{extra}]'") from None


def need_server() -> None:
    """Raises MissingExtra where the server's libraries are not installed."""
    need("the server", "serve", "fastapi", "prometheus_client", "python_multipart", "uvicorn")


def need_page() -> None:
    """Raises MissingExtra where the page's libraries are not installed."""
    need("the page", "ui", "fastapi", "gradio", "prometheus_client", "uvicorn")
