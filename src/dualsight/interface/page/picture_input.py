"""One picture to be asked about: a file dropped, and which slice of it, in which window, is meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, cast, get_args

import gradio as gr

from dualsight.errors import ConfigError, UnreadableImage
from dualsight.image.frame import Frame
from dualsight.image.limits import Limits
from dualsight.image.open import read
from dualsight.image.reading import Plane, Reading
from dualsight.image.source import Item
from dualsight.image.voi import CT_WINDOWS
from dualsight.interface.http.pictures import WINDOW, read_window
from dualsight.interface.page.lanes import SHOW, connect
from dualsight.interface.page.parts import drop, outlet
from dualsight.interface.page.telling import telling
from dualsight.interface.page.uploads import Upload, Uploads
from dualsight.interface.page_walk.figures import picture

LONGEST = 640  # pixels of a picture on the page
PLANES: tuple[str, ...] = get_args(Plane)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a visitor means: an upload's token, how it is shown, and which of its frames, from 1 (None: the middle)."""

    token: str
    window: str
    plane: str | None
    number: int | None


class Pictures:
    """Opens what visitors have chosen."""

    def __init__(self, uploads: Uploads, limits: Limits) -> None:
        self._uploads = uploads
        self._limits = limits

    def upload(self, token: str) -> Upload:
        """The file. Raises UnreadableImage where none was dropped, or none is left."""
        if not token:
            raise UnreadableImage("no file yet", source="the picture", hint="drop one, or choose one")
        return self._uploads.find(token)

    def reading(self, chosen: Chosen) -> Reading:
        """How it is to be shown. Raises ConfigError for a window that is none."""
        if not re.fullmatch(WINDOW, chosen.window):
            raise ConfigError(f"no window {chosen.window}", hint="choose one, or type CENTRE,WIDTH, such as 40,400")
        plane = cast("Plane | None", chosen.plane if chosen.plane in PLANES else None)
        return Reading(window=read_window(chosen.window), plane=plane, limits=self._limits)

    def frame(self, chosen: Chosen) -> Frame:
        """The frame that is meant, or the last one where there are fewer. Raises ImageError or ConfigError."""
        upload = self.upload(chosen.token)
        for frame in read(upload.path, self.reading(chosen), source=upload.name):
            wanted = frame.n_frames // 2 if chosen.number is None else chosen.number - 1
            if frame.frame_index >= min(wanted, frame.n_frames - 1):
                return frame
        raise UnreadableImage("no frame in it", source=upload.name)

    def whole(self, chosen: Chosen) -> Item:
        """The file with all its frames. Raises UnreadableImage."""
        upload = self.upload(chosen.token)
        return Item(name=upload.name, content=upload.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureInput:
    """The components of one picture input, as they lie in the page."""

    file: gr.HTML  # its value is the upload's token
    window: gr.Dropdown
    plane: gr.Radio
    number: gr.Slider
    changes: tuple[Any, ...]  # events after which another picture is meant

    @property
    def inputs(self) -> list[Any]:
        """What `Chosen` is made of, for a handler's inputs."""
        return [self.file, self.window, self.plane, self.number]

    def clears(self, *outputs: gr.HTML, stops: Sequence[Any]) -> None:
        """Empties these outputs when another picture is meant, and stops what would fill them (see `connect`).

        An answer must not stand beside a wrong picture.
        """
        for change in self.changes:
            change(None, None, list(outputs), js=f"() => {[''] * len(outputs)}", cancels=list(stops))


def choose(token: str, window: str, plane: str | None, number: float) -> Chosen:
    """`PictureInput.inputs`, as they come to a handler."""
    return Chosen(token=token, window=window.strip(), plane=plane, number=int(number))


def picture_input(title: str, pictures: Pictures, limit_bytes: int) -> PictureInput:
    """Lays the components out where it is called, and connects them."""
    file = drop(title, limit_bytes)
    note = outlet()
    shown = outlet()
    number = gr.Slider(1, 2, value=1, step=1, label="Slice or frame", visible=False)
    with gr.Row():
        window = gr.Dropdown(
            ["auto", "dicom", *CT_WINDOWS],
            value="auto",
            label="Window",
            info="Or type CENTRE,WIDTH",
            allow_custom_value=True,
            visible=False,
        )
        plane = gr.Radio(list(PLANES), value=PLANES[0], label="Plane", visible=False)
    parts = PictureInput(
        file=file,
        window=window,
        plane=plane,
        number=number,
        changes=(file.dropped, window.input, plane.input, number.input),
    )
    hidden = gr.update(visible=False)

    @telling("", hidden, hidden, hidden)
    def open_file(token: str) -> tuple[Any, ...]:
        if not token:
            return "", hidden, hidden, hidden
        frame = pictures.frame(Chosen(token=token, window="auto", plane=None, number=None))
        is_volume = frame.meta.view in PLANES
        return (
            figure(frame),
            _slices(frame),
            gr.update(visible=frame.meta.window is not None, value="auto"),
            gr.update(visible=is_volume, value=frame.meta.view if is_volume else PLANES[0]),
        )

    @telling("")
    def show_again(*values: Any) -> tuple[Any, ...]:
        return (figure(pictures.frame(choose(*values))),)

    @telling("", gr.skip())
    def turn(token: str, window: str, plane: str) -> tuple[Any, ...]:
        frame = pictures.frame(Chosen(token=token, window=window, plane=plane, number=None))
        return figure(frame), _slices(frame)

    again = (
        connect(number.input, show_again, parts.inputs, [note, shown], lane=SHOW, busy=shown),
        connect(window.input, show_again, parts.inputs, [note, shown], lane=SHOW, busy=shown),
        connect(plane.input, turn, [file, window, plane], [note, shown, number], lane=SHOW, busy=shown),
    )
    outputs = [note, shown, number, window, plane]
    connect(file.dropped, open_file, [file], outputs, lane=SHOW, busy=shown, stops=again)
    return parts


def figure(frame: Frame) -> str:
    """The frame as it is shown, and what its file says of it."""
    part = f"slice or frame {frame.frame_index + 1} of {frame.n_frames}" if frame.n_frames > 1 else ""
    alt = f"{frame.source} as it is shown{f', {part}' if part else ''}"
    meta = frame.meta
    sides = f"{frame.pixels.shape[1]} × {frame.pixels.shape[0]} pixels"
    window = f"window: {meta.window}" if meta.window else ""
    words = [meta.format, meta.modality, meta.body_part, meta.view, sides, part, window, meta.note]
    return (
        f'<figure class="shown">{picture(frame.pixels, alt, longest=LONGEST)}<figcaption><b>{escape(frame.source)}</b> '
        f"{' · '.join(escape(word) for word in words if word)}</figcaption></figure>"
    )


def _slices(frame: Frame) -> Any:
    """The slider for the file that the frame is of."""
    return gr.update(visible=frame.n_frames > 1, maximum=max(2, frame.n_frames), value=frame.frame_index + 1)
