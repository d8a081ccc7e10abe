"""The training keys of an MI2 `config.yaml` → our recipe. Model and preprocessing come from the checkpoint itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from dualsight.checkpoint.config import Section
from dualsight.errors import ConfigError
from dualsight.learn.train.recipe import Augmentation, Recipe

# Keys about the reference's own machinery, its data or its evaluation: nothing of a recipe.
PASSED_OVER = frozenset({
    "TASK", "NAME", "SAVE_DIR", "SAVE_TIMER_LOG", "LOG_EVERY", "LOGLEVEL_OVERRIDE", "LOG_GPU_MEM", "RESUME",
    "RESET_DATA_LOADER", "ZERO_STAGE", "DEEPSPEED", "FIND_UNUSED_PARAMETERS", "EVAL_AT_START",
    "EVAL_PER_OPTIM_STEPS", "SAVE_PER_OPTIM_STEPS", "NO_AUTO_LR_SCALING", "SET_SAMPLER_EPOCH",
    "DONT_LOAD_MODEL", "user_dir", "VERBOSE", "WORKERS", "PIN_MEMORY", "IMAGE_ENCODER", "LANG_ENCODER",
    "UNICL_MODEL", "DATASET", "EVALUATION_SPLITS", "ZEROSHOT_EVAL_DATASET", "TEST", "AMP",
    "GRADIENT_ACCUMULATE_STEP",
})  # fmt: skip
EVALUATION = "EVALDATASET_"
UNDECAYED = {r"\.bias$", "logit_scale", "positional_embedding", "token_embedding"}


def read_official(path: Path) -> tuple[Recipe, Augmentation]:
    """Recipe and augmentation of an official configuration.

    FP16 becomes bfloat16 autocast, and BATCH_SIZE_PER_GPU the micro-batch: with it MI2 contrasts fewer pairs, we do
    not. Raises ConfigError for an unknown key, and for what no recipe here can say (another loss, mixup, flips).
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read ({error.__class__.__name__})") from error
    if not isinstance(document, Mapping):
        raise ConfigError(f"{path}: not a mapping of keys", hint="an official config.yaml begins with TASK: UniCLTask")
    root = Section(document, "", str(path))
    _only(root.section("LOSS"), "LOSS", "UniCL")
    recipe, augmentation = _recipe(root), _augmentation(root.section("AUG"))
    root.refuse_unknown(PASSED_OVER | {key for key in document if str(key).startswith(EVALUATION)})
    return recipe, augmentation


def _recipe(root: Section) -> Recipe:
    _only(root, "OPTIMIZER", "AdamW")
    _only(root, "LR_SCHEDULER", "TimmScheduler")
    _check_decay(root.section("CUSTOMIZED_PARAMS_CONF"))
    train, optimizer = root.section("TRAIN"), root.section("OPTIMIZER_PARAMS")
    schedule, smoothing = root.section("LR_SCHEDULER_PARAMS"), root.section("WEIGHT_SMOOTHING")
    _only(schedule, "sched", "cosine")
    floor = schedule.get("min_lr", float, 0.0)
    if schedule.get("warmup_lr", float, 0.0) != floor:
        raise schedule.error("warmup_lr", "differs from min_lr", "here one value is where warm-up starts and all ends")
    if not train.get("SHUFFLE", bool, True):
        raise train.error("SHUFFLE", "is false", "pairs are always shuffled here")
    _only(smoothing, "eval_smoothed_weight", True)
    recipe = Recipe(
        epochs=root.get("MAX_NUM_EPOCHS", float),
        batch=train.get("BATCH_SIZE_TOTAL", int),
        micro_batch=train.get("BATCH_SIZE_PER_GPU", int),
        learning_rate=root.get("START_LEARNING_RATE", float),
        final_learning_rate=floor,
        warmup_steps=schedule.get("warmup_steps", int, 0),
        weight_decay=optimizer.get("weight_decay", float, 0.0),
        clip_norm=root.get("GRAD_CLIPPING", float),
        ema_decay=smoothing.get("decay", float),
        precision="bfloat16" if root.get("FP16", bool, False) else "float32",
    )
    for section in (train, optimizer, schedule):
        section.refuse_unknown(frozenset())
    smoothing.refuse_unknown(frozenset({"use_cpu"}))
    return recipe


def _augmentation(aug: Section) -> Augmentation:
    more = aug.section("TORCHVISION_AUG")
    for section, key in ((aug, "MIXUP_PROB"), (more, "HFLIP"), (more, "VFLIP")):
        if section.get(key, float, 0.0) != 0.0:
            raise section.error(key, f"is {section.values[key]}, not 0", "dualsight neither mixes nor flips pictures")
    automatic = more.get("AUTO_AUGMENT", str, "none")
    if automatic not in ("ta_wide", "none"):
        raise more.error("AUTO_AUGMENT", f"is {automatic!r}", "dualsight knows ta_wide")
    augmentation = Augmentation(
        crop_scale=aug.row("SCALE", float, (0.8, 1.0)),
        crop_ratio=aug.row("RATIO", float, (3 / 4, 4 / 3)),
        trivial=automatic == "ta_wide",
        erasing=more.get("RE_PROB", float, 0.0),
    )
    more.refuse_unknown(frozenset())
    mixing = {"MIXUP", "MIXCUT", "MIXCUT_MINMAX", "MIXUP_SWITCH_PROB", "MIXUP_MODE"}
    aug.refuse_unknown(frozenset({"INTERPOLATION", *mixing}))  # the checkpoint says how; MIXUP_PROB is 0
    return augmentation


def _check_decay(section: Section) -> None:
    """What decays is fixed here (`optimizer.optimizers`), and is what the official file says."""
    modules = set(section.row("NO_WEIGHT_DECAY_MODULES", str, ("dw", "norm")))
    patterns = section.section("WEIGHT_DECAY_PATTERNS").values
    if modules != {"dw", "norm"} or set(patterns) != UNDECAYED or any(patterns.values()):
        raise section.error("", "exempts other parameters from weight decay than MI2 does")
    section.refuse_unknown(frozenset())


def _only(section: Section, key: str, value: object) -> None:
    section.seen.add(key)
    found = section.values.get(key, value)
    if found != value:
        raise section.error(key, f"is {found!r}", f"dualsight knows {value}")
