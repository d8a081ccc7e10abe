"""`config.yaml` ⇄ typed configuration.

The file's own keys are read where the model or its preprocessing depends on them. Keys of training and
evaluation are known by name and passed over; a key of the encoders that nobody knows is an error, since
it would change the model in a way we cannot see.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dualsight.errors import ConfigError, DualsightError
from dualsight.image.prepare import Preprocessing
from dualsight.model.config import CoSwinConfig, DaViTConfig, DualConfig, ImageEncoderConfig, MuP, TextConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """All that a `config.yaml` says of the model: the two encoders, and how a picture becomes pixels."""

    dual: DualConfig
    preprocessing: Preprocessing
    tokenizer: str  # TOKENIZER: "clip" is the one there is


class Section:
    """One mapping of the file, which knows its place and which of its keys were asked for."""

    def __init__(self, values: Mapping[str, Any], place: str, file: str) -> None:
        self.values = values
        self.place = place
        self.file = file
        self.seen: set[str] = set()

    def error(self, key: str, problem: str, hint: str = "") -> ConfigError:
        """What is wrong with a key, with its file and place."""
        return ConfigError(f"{self.file}: {self.place}{key} {problem}", hint=hint)

    def section(self, key: str) -> Section:
        """The mapping under a key."""
        value = self.values.get(key)
        self.seen.add(key)
        if not isinstance(value, Mapping):
            raise self.error(key, "is missing" if value is None else "is not a mapping")
        return Section(value, f"{self.place}{key}.", self.file)

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """The value of a key, of the type it must have; `default` where it is absent (None: required)."""
        self.seen.add(key)
        if self.values.get(key) is None:
            if default is None:
                raise self.error(key, "is missing")
            return default
        value = self.values[key]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(key, f"is {value!r}, not of type {kind.__name__}")
        return value

    def row(self, key: str, kind: type, default: tuple[Any, ...] | None = None) -> tuple[Any, ...]:
        """A list as a tuple of one type."""
        values = self.get(key, list, None if default is None else list(default))
        wanted = (int, float) if kind is float else kind
        if not all(isinstance(v, wanted) and (kind is bool or not isinstance(v, bool)) for v in values):
            raise self.error(key, f"is {values!r}, not a list of {kind.__name__}")
        return tuple(kind(v) for v in values)

    def refuse_unknown(self, passed_over: frozenset[str]) -> None:
        """Raises ConfigError for a key that nobody asked for and that is not to be passed over."""
        unknown = sorted(map(str, set(self.values) - self.seen - passed_over))  # YAML has keys that are no strings
        if unknown:
            raise self.error(unknown[0], "is a key that dualsight does not know", "a typing mistake, or a newer model?")


# Keys that say how the reference trains or initialises, never what a loaded model computes.
_ENCODER_TRAINING = frozenset({"LOAD_PRETRAINED", "PRETRAINED", "PRETRAINED_LAYERS"})
_SPEC_TRAINING = frozenset({"DROP_RATE", "ATTN_DROP_RATE", "ENABLE_CHECKPOINT", "USE_CHECKPOINT"})


def parse_config(text: str, *, file: str = "config.yaml") -> ModelConfig:
    """The typed configuration of an official `config.yaml`; `${NAME}` is taken from the environment.

    Raises ConfigError, which names file and key: no YAML, a missing or unknown key, an unknown encoder,
    sizes that do not fit one another.
    """
    try:
        document = _from_environment(yaml.safe_load(text), file)
    except DualsightError:
        raise
    except Exception as error:  # PyYAML has no error of its own for a 13th month, or for a list that holds itself
        raise ConfigError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, Mapping):
        raise ConfigError(f"{file}: not a mapping of keys", hint="an official config.yaml begins with TASK: UniCLTask")
    root = Section(document, "", file)
    image, lang = root.section("IMAGE_ENCODER"), root.section("LANG_ENCODER")
    width, height = _pair(image, "IMAGE_SIZE")
    size = (height, width)
    try:
        dual = DualConfig(
            image=_image_encoder(image, size),
            text=_text_encoder(lang),
            projection=root.section("UNICL_MODEL").get("DIM_PROJECTION", int),
            image_size=size,
        )
    except ConfigError as error:
        raise error if file in str(error) else ConfigError(f"{file}: {error}", hint=error.hint) from None
    return ModelConfig(
        dual=dual, preprocessing=_preprocessing(root, image, size), tokenizer=lang.get("TOKENIZER", str, "clip")
    )


def read_config(path: Path) -> ModelConfig:
    """`parse_config` of a file. Raises ConfigError also where the file cannot be read."""
    return parse_config(read_text(path), file=str(path))


def read_text(path: Path) -> str:
    """The file's text with its own line ends, so that it can be written back unchanged. Raises ConfigError."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error.__class__.__name__})") from error


def _from_environment(value: Any, file: str) -> Any:
    """`${NAME}` in any string, replaced."""
    if isinstance(value, Mapping):
        return {key: _from_environment(inner, file) for key, inner in value.items()}
    if isinstance(value, list):
        return [_from_environment(inner, file) for inner in value]
    if not isinstance(value, str):
        return value

    def lookup(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise ConfigError(f"{file}: ${{{name}}} names no environment variable", hint=f"export {name}=… first")
        return os.environ[name]

    return re.sub(r"\$\{(\w+)\}", lookup, value)


def _pair(section: Section, key: str) -> tuple[int, int]:
    values = section.row(key, int)
    if len(values) != 2 or min(values) < 1:
        raise section.error(key, f"is {list(values)}, not [width, height]")
    return values[0], values[1]


def _image_encoder(image: Section, size: tuple[int, int]) -> ImageEncoderConfig:
    name = image.get("NAME", str)
    classes = image.get("NUM_CLASSES", int, 0)
    spec = image.section("SPEC")
    for key in ("IMAGE_MEAN", "IMAGE_STD"):
        image.seen.add(key)
    image.refuse_unknown(_ENCODER_TRAINING)
    match name.removeprefix("cls_"):
        case "davit_v1":
            return _davit(spec, classes)
        case "coswin":
            return _coswin(spec, classes, size)
        case _:
            problem = f"is {name!r}, an encoder that dualsight does not know"
            raise image.error("NAME", problem, "known: davit_v1, coswin")


def _davit(spec: Section, classes: int) -> DaViTConfig:
    mup = None
    if not spec.get("STANDPARAM", bool, True):
        mup = MuP(
            widths=spec.row("BASE_DIM_EMBED", int),
            heads=spec.row("BASE_NUM_HEADS", int),
            groups=spec.row("BASE_NUM_GROUPS", int),
        )
    config = DaViTConfig(
        widths=spec.row("DIM_EMBED", int),
        depths=spec.row("DEPTHS", int),
        heads=spec.row("NUM_HEADS", int),
        groups=spec.row("NUM_GROUPS", int),
        patch_size=spec.row("PATCH_SIZE", int, (7, 3, 3, 3)),
        patch_stride=spec.row("PATCH_STRIDE", int, (4, 2, 2, 2)),
        patch_padding=spec.row("PATCH_PADDING", int, (3, 1, 1, 1)),
        patch_prenorm=spec.row("PATCH_PRENORM", bool, (False, True, True, True)),
        window=spec.get("WINDOW_SIZE", int, 7),
        mlp_ratio=spec.get("MLP_RATIO", float, 4.0),
        qkv_bias=spec.get("QKV_BIAS", bool, True),
        conv_at_attn=spec.get("CONV_AT_ATTN", bool, True),
        conv_at_ffn=spec.get("CONV_AT_FFN", bool, True),
        channel_scale="tokens" if spec.get("DYNAMIC_SCALE", bool, True) else "width",
        mup=mup,
        drop_path_rate=spec.get("DROP_PATH_RATE", float, 0.0),
        num_classes=classes,
    )
    unused_bases = frozenset({"BASE_DIM_EMBED", "BASE_NUM_HEADS", "BASE_NUM_GROUPS"})
    spec.refuse_unknown(_SPEC_TRAINING | unused_bases | {"IN_CHANS"})
    return config


def _coswin(spec: Section, classes: int, size: tuple[int, int]) -> CoSwinConfig:
    config = CoSwinConfig(
        image_size=size,
        width=spec.get("EMBED_DIM", int),
        depths=spec.row("DEPTHS", int),
        heads=spec.row("NUM_HEADS", int),
        window=spec.get("WINDOW_SIZE", int, 7),
        patch_size=spec.get("PATCH_SIZE", int, 7),
        patch_padding=spec.get("PATCH_PADDING", int, 2),
        mlp_ratio=spec.get("MLP_RATIO", float, 4.0),
        qkv_bias=spec.get("QKV_BIAS", bool, True),
        qk_scale=spec.get("QK_SCALE", float) if spec.values.get("QK_SCALE") is not None else None,
        absolute_position=spec.get("APE", bool, False),
        patch_norm=spec.get("PATCH_NORM", bool, True),
        layer_scale=spec.get("LAYER_SCALE", bool, False),
        drop_path_rate=spec.get("DROP_PATH_RATE", float, 0.0),
        num_classes=classes,
    )
    spec.refuse_unknown(_SPEC_TRAINING | {"PATCH_STRIDE", "IN_CHANS", "QK_SCALE"})
    return config


def _text_encoder(lang: Section) -> TextConfig:
    config = TextConfig(
        context_length=lang.get("CONTEXT_LENGTH", int, 77),
        width=lang.get("WIDTH", int),
        heads=lang.get("HEADS", int),
        layers=lang.get("LAYERS", int),
        autoregressive=lang.get("AUTOGRESSIVE", bool, True),  # the key's own spelling
    )
    if lang.get("TOKENIZER", str, "clip") != "clip":
        raise lang.error("TOKENIZER", f"is {lang.values['TOKENIZER']!r}", "dualsight knows the tokenizer 'clip'")
    lang.refuse_unknown(_ENCODER_TRAINING | {"NAME"})
    return config


def _preprocessing(root: Section, image: Section, size: tuple[int, int]) -> Preprocessing:
    crop = False
    interpolation: Any = "bicubic"  # which values there are, Preprocessing knows
    if "TEST" in root.values:
        crop = root.section("TEST").get("CENTER_CROP", bool, False)
    if "AUG" in root.values:
        interpolation = root.section("AUG").get("INTERPOLATION", str, "bicubic")
    mean, std = image.row("IMAGE_MEAN", float, IMAGENET_MEAN), image.row("IMAGE_STD", float, IMAGENET_STD)
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise image.error("IMAGE_MEAN/IMAGE_STD", f"are {list(mean)} and {list(std)}, not three numbers each")
    try:
        return Preprocessing(
            height=size[0], width=size[1], mean=mean, std=std, center_crop=crop, interpolation=interpolation
        )
    except DualsightError as error:
        raise ConfigError(f"{root.file}: {error}", hint=error.hint) from None


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
