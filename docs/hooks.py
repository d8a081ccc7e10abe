"""What the site leaves out: it is read from the disk, where no server shows a page for what is not found."""

from __future__ import annotations

from typing import Any


def on_config(config: Any) -> Any:
    """Without 404.html, whose addresses begin at a server's root."""
    config.theme.static_templates.discard("404.html")
    return config
