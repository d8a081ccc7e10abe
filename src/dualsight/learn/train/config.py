"""What a run of fine-tuning is, as data, and the YAML file that says it.

    model: demo                 # what to start from
    output: tuned               # the run's folder; its checkpoint is in tuned/checkpoint
    train: {manifest: pairs.csv, split: train}
    validation: {manifest: pairs.csv, split: val}
    recipe: {epochs: 3, batch: 48}

Keys are the fields of the classes below; an unknown one is an error. Paths start from the file's own folder.
`official_recipe: config.yaml` takes the recipe of an MI2 configuration, which the file's own values then change.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from dualsight.checkpoint.config import Section
from dualsight.errors import ConfigError
from dualsight.image.voi import CT_WINDOWS
from dualsight.learn.train.official import read_official
from dualsight.learn.train.recipe import Augmentation, Recipe

CHECKPOINT, REPORT, METRICS, TENSORBOARD, STATE = "checkpoint", "report.md", "metrics.jsonl", "tensorboard", "state"
"""What lies in the folder of a run; see `run`."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestSource:
    """A CSV table, one picture a row. Several labels of a row are joined by `|`."""

    manifest: Path
    split: str | None = None  # only rows whose column `split` says so
    path_column: str = "path"
    label_column: str = "label"
    text_column: str | None = None  # each picture's own text, instead of one made from its labels


@dataclass(frozen=True, slots=True, kw_only=True)
class TsvSource:
    """MI2's two tables: `key⇥base64 of a picture file`, and `key⇥{"class_id": …, "class_name": …}`."""

    images: Path
    texts: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSource:
    """A folder whose subfolders are called as their pictures' label."""

    folder: Path


Source: TypeAlias = ManifestSource | TsvSource | FolderSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Low-rank adaptation (arXiv 2106.09685) of linear layers: all else stays as it is."""

    rank: int = 8
    alpha: float = 16.0  # the update is scaled by alpha / rank
    dropout: float = 0.0
    layers: tuple[str, ...] = ("qkv", "proj", "fc1", "fc2", "out_proj", "c_fc", "c_proj")  # last parts of their names

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1:
            raise ConfigError(f"lora: rank {self.rank}, alpha {self.alpha:g}, dropout {self.dropout:g} cannot be meant")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """A whole run."""

    output: Path
    train: Source
    model: str = "demo"  # a checkpoint's folder or file, a hub id, or demo
    validation: Source | None = None
    labels: tuple[str, ...] = ()  # all there are; empty: those found in `train`
    templates: tuple[str, ...] = ("{label}",)  # one by chance each time; measured with all
    recipe: Recipe = field(default_factory=Recipe)
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    lora: Lora | None = None
    freeze: tuple[str, ...] = ()  # parameters not to be trained, as "lang_encoder.*"
    window: str = "auto"  # how DICOM grey values are shown, as everywhere: auto, dicom or a CT window's name
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    parallel: Literal["ddp", "fsdp"] = "ddp"  # under torchrun: weights whole in each process, or shared out
    workers: int = 2  # processes that open pictures
    save_every: int = 500  # steps between states to go on from
    validate_every: int = 250  # steps
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("workers", 0), ("save_every", 1), ("validate_every", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}: at least {least} is needed")
        if self.window not in ("auto", "dicom", *CT_WINDOWS):
            raise ConfigError(f"window is {self.window!r}", hint=f"one of: auto, dicom, {', '.join(CT_WINDOWS)}")
        if self.parallel == "fsdp" and self.recipe.optimizer == "muon":
            raise ConfigError("muon needs whole matrices, and fsdp shares them out", hint="parallel: ddp, or adamw")


def read_train_config(path: Path) -> TrainConfig:
    """The run that a YAML file describes. Raises ConfigError, naming file and key."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})", hint="see docs/fine-tuning.md") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: no text in UTF-8", hint="see docs/fine-tuning.md") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, Mapping):
        raise ConfigError(f"{path}: not a mapping of keys", hint="see docs/fine-tuning.md")
    values = dict(document)
    start = TrainConfig(output=Path(), train=FolderSource(folder=Path()))
    official = values.pop("official_recipe", None)
    if official is not None:
        recipe, augmentation = read_official(path.parent / str(official))
        start = replace(start, recipe=recipe, augmentation=augmentation)
    try:
        return _build(TrainConfig, Section(values, "", str(path)), start)
    except ConfigError as error:
        raise error if str(path) in str(error) else ConfigError(f"{path}: {error}", hint=error.hint) from None


def _build(kind: type[T], section: Section, start: T | None = None) -> T:
    """An instance of a dataclass from the mapping of its fields; what is not given is as in `start`."""
    hints = get_type_hints(kind)
    names = [one.name for one in fields(kind)]  # type: ignore[arg-type]  # a dataclass, which T cannot say
    given = {
        name: _value(section, name, hints[name], getattr(start, name, None)) for name in names if name in section.values
    }
    section.seen.update(names)
    section.refuse_unknown(frozenset())
    for one in fields(kind):  # type: ignore[arg-type]  # as above
        if one.name not in given and one.default is MISSING and one.default_factory is MISSING:
            raise section.error(one.name, "is missing")
    return kind(**given) if start is None else replace(start, **given)  # type: ignore[type-var]  # as above


def _value(section: Section, name: str, kind: Any, start: Any) -> Any:
    """The value of a key, of the type that its field has."""
    if kind == Source or kind == Source | None:
        return _source(section.section(name)) if section.values[name] is not None else None
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(one for one in get_args(kind) if one is not type(None))
        if section.values[name] is None:
            return None
    if is_dataclass(kind):
        return _build(kind, section.section(name), start)  # type: ignore[arg-type]  # a class, which a type guard loses
    if get_origin(kind) is tuple:
        return section.row(name, get_args(kind)[0])
    if get_origin(kind) is Literal:
        if section.values[name] not in get_args(kind):
            raise section.error(name, f"is {section.values[name]!r}", f"one of: {', '.join(get_args(kind))}")
        return section.values[name]
    if kind is Path:
        return Path(section.file).parent / section.get(name, str)
    if kind is float:
        return _number(section, name)
    return section.get(name, kind)


def _number(section: Section, name: str) -> float:
    """A number; YAML 1.1 takes one like 1e-5, without a point, for a text."""
    value = section.values[name]
    try:
        return float(value) if isinstance(value, str) else section.get(name, float)
    except ValueError:
        return section.get(name, float)


def _source(section: Section) -> Source:
    """Which kind of source a mapping is, told by the key that only that kind has."""
    for key, kind in (("manifest", ManifestSource), ("images", TsvSource), ("texts", TsvSource)):
        if key in section.values:
            return _build(kind, section)  # type: ignore[return-value]  # one of the three
    if "folder" in section.values:
        return _build(FolderSource, section)
    raise section.error("", "names no data", "one of: manifest, images and texts, folder")
