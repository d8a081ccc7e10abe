"""The tools that look at one picture with one model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from mcp.server.mcpserver import Image as McpImage
from pydantic import Field

from dualsight.errors import TextError
from dualsight.image.reading import Reading
from dualsight.interface.explained import MethodName, map_row, overlay_png
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.http.pictures import one_frame
from dualsight.interface.index_view import visible_columns
from dualsight.interface.mcp.roots import Roots
from dualsight.store.index import Index
from dualsight.task.embed import Failed
from dualsight.task.explain.explain import explain_frame, label_target
from dualsight.task.model import Model
from dualsight.text.prompts import check_labels

if TYPE_CHECKING:
    from dualsight.learn.adapt.adapter import Adapter  # needs scikit-learn; a server without adapters does not

FilePath: TypeAlias = Annotated[str, Field(description="a picture's file on the server's own disk, DICOM included")]
Labels: TypeAlias = Annotated[
    list[str], Field(description='texts such as "x-ray chest anteroposterior Pneumonia"; they compete with each other')
]

HeadName: TypeAlias = Annotated[str, Field(description="an adapter's name; describe_model lists them")]


@dataclass(frozen=True, kw_only=True)  # without slots: the SDK takes them for default values
class ImageEmbedding:
    """An embedding and whose it is. Only embeddings of equal fingerprints are comparable."""

    embedding: list[float]
    n_frames: int
    model: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class LabelScore:
    """An adapter's probability of a label, and whether it reaches the label's thresholds, where it has any."""

    probability: float
    above_youden: bool | None
    above_sens90: bool | None


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """What answers here, and of which files."""

    model: str
    fingerprint: str
    notice: str
    embedding_size: int
    context_length: int
    logit_scale: float
    roots: list[str]
    heads: list[str]
    index_columns: dict[str, str]


class PictureTools:
    """A model's answers about files below the roots. Methods are the tools; their docstrings are for agents."""

    def __init__(
        self, model: Model, roots: Roots, heads: Mapping[str, Adapter] | None = None, index: Index | None = None
    ) -> None:
        """heads: adapters by name. index: whose columns are described. Raises AdapterError for another model's head."""
        self._model = model
        self._roots = roots
        self._heads = heads or {}
        self._index = index
        for adapter in self._heads.values():
            adapter.check_model(model)

    @property
    def tools(self) -> tuple[Callable[..., Any], ...]:
        """What an agent may call."""
        always = (self.zeroshot_classify, self.embed_image, self.explain_image, self.describe_model)
        return (*always, self.adapter_classify) if self._heads else always

    def zeroshot_classify(self, file_path: FilePath, labels: Labels) -> dict[str, float]:
        """How probable each label is for a picture, falling, by a softmax over the labels: they sum to one.

        The answer depends on the whole set of labels, so give labels of the picture's own modality, body part and view
        that exclude each other, one of them "No Finding"; zeroshot_label_examples lists some. A file of several frames
        is answered as one picture. Research software: never a diagnosis.
        """
        limits = ServerLimits()
        limits.check_labels(len(labels))
        limits.check_texts(labels)
        (answer,) = self._model.iter_classify(self._roots.item(file_path), labels)
        if isinstance(answer, Failed):
            raise answer.error
        return answer.as_dict()

    def adapter_classify(self, file_path: FilePath, head: HeadName) -> dict[str, LabelScore]:
        """How probable each label of a trained adapter is for a picture, falling.

        above_youden: rather there than not (rule in). above_sens90: cannot be ruled out: nine in ten of those who have
        it are above. Null where no threshold is known. Research software: never a diagnosis.
        """
        if head not in self._heads:
            raise TextError(f"no adapter {head!r}", hint=f"there are: {', '.join(self._heads)}")
        (answer,) = self._heads[head].predict(self._model, self._roots.item(file_path))
        rows = zip(answer.labels, answer.probabilities, answer.above_youden, answer.above_sens90, strict=True)
        return {
            label: LabelScore(probability=probability, above_youden=youden, above_sens90=sens90)
            for label, probability, youden, sens90 in rows
        }

    def embed_image(self, file_path: FilePath) -> ImageEmbedding:
        """A picture's embedding, of unit length: the cosine of two says how alike two pictures are."""
        (embedded,) = self._model.embed(self._roots.item(file_path))
        if isinstance(embedded, Failed):
            raise embedded.error
        return ImageEmbedding(
            embedding=embedded.vector.tolist(),
            n_frames=embedded.n_frames,
            model=self._model.name,
            fingerprint=self._model.fingerprint,
        )

    def explain_image(
        self,
        file_path: FilePath,
        labels: Annotated[list[str], Field(min_length=1, description="a map for each, against the others")],
        against: Annotated[str | None, Field(description="explain each label against this one instead")] = None,
        method: Annotated[MethodName, Field(description="grad-cam is the quickest")] = "multi-scale",
        frame_index: Annotated[int | None, Field(ge=0, description="from 0; the middle one without it")] = None,
    ) -> list[McpImage | dict[str, Any]]:
        """Where in a picture the similarity with each label comes from: the picture with heat maps, and numbers.

        Warm colours speak for the label, blue ones against it. A map shows what moves this model's answer, not what is
        there. Use the labels that zeroshot_classify was asked with. Research software: never a diagnosis.
        """
        check_labels(labels)
        limits = ServerLimits()
        limits.check_texts(labels if against is None else [*labels, against])
        item = self._roots.item(file_path)
        frame = one_frame(item.frames(Reading()), frame_index, source=item.name)
        limits.check_maps(len(labels), frame.pixels.shape[0] * frame.pixels.shape[1])
        explanations = [
            explain_frame(
                self._model,
                frame,
                label_target(
                    self._model,
                    label,
                    against=[other for other in labels if other != label] if against is None else against,
                ),
                method=method,
            )
            for label in labels
        ]
        facts = {
            "frame_index": frame.frame_index,
            "n_frames": frame.n_frames,
            "notice": self._model.notice,
            "maps": [map_row(explanation) for explanation in explanations],
        }
        return [McpImage(data=overlay_png(explanations), format="png"), facts]

    def describe_model(self) -> ModelDescription:
        """Which model answers, what to say with its answers (notice), and below which folders files are opened."""
        dual = self._model.config.dual
        return ModelDescription(
            model=self._model.name,
            fingerprint=self._model.fingerprint,
            notice=self._model.notice,
            embedding_size=dual.projection,
            context_length=dual.text.context_length,
            logit_scale=self._model.logit_scale,
            roots=[str(folder) for folder in self._roots.folders],
            heads=list(self._heads),
            index_columns={} if self._index is None else dict(visible_columns(self._index)),
        )
