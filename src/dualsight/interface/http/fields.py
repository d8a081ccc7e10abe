"""What bodies and answers of our own routes have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from dualsight.interface.http.pictures import WINDOW
from dualsight.task.model import Model

# 8 × 8 pixels of grey, so that the document's examples can be sent as they are
GREY_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEElEQVR42mNsYIAAJgaKGAAmCACQtTEKkQAAAABJRU5ErkJggg=="

Images = Annotated[list[str], Field(description="base64 or data URLs", examples=[[GREY_PNG]])]
Texts = Annotated[list[str], Field(examples=[["x-ray chest anteroposterior pneumonia"]])]
Labels = Annotated[list[str], Field(min_length=1, examples=[["pneumonia", "no finding"]])]
Templates = Annotated[list[str], Field(min_length=1, examples=[["x-ray chest {label}"]])]
WindowName = Annotated[str, Field(pattern=WINDOW, examples=["lung", "40,400"])]


class About(BaseModel):
    """Which model answers."""

    model: str
    fingerprint: str
    notice: str


def about(model: Model) -> dict[str, str]:
    """`About` a model."""
    return {"model": model.name, "fingerprint": model.fingerprint, "notice": model.notice}
