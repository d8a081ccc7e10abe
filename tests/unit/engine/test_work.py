"""A cheap guard of speed: not seconds, but what is computed, counted on small models.

A change that computes more fails here. One that computes less fails, too: then its figures belong here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from dualsight.checkpoint.load import load_checkpoint
from dualsight.engine.agreement import smooth_pixels
from dualsight.engine.graph import image_graph
from dualsight.engine.torch import TorchEngine

TEXTS = ("x-ray chest anteroposterior pneumonia", "mri brain", "ct", "lumbar spine sagittal t2 in a long description")
IMAGE_FLOPS = {"davit": 88_254_464, "davit-mup": 73_619_456, "coswin": 90_982_400}  # of two pictures
TEXT_FLOPS = {"davit": 3_443_712}  # of these four texts, without their padding
MOST_OPERATIONS = {"davit": 1543, "davit-mup": 1217, "coswin": 1118}  # nodes of the graph that other runtimes are given


@pytest.mark.parametrize("name", IMAGE_FLOPS)
def test_pictures_cost_no_more(name: str, recipe_folder: Callable[[str], Path]) -> None:
    checkpoint = load_checkpoint(recipe_folder(name))
    size = checkpoint.config.preprocessing.height, checkpoint.config.preprocessing.width
    with FlopCounterMode(display=False) as counter:
        TorchEngine(checkpoint.model).encode_images(smooth_pixels(2, size))
    assert counter.get_total_flops() == IMAGE_FLOPS[name]


@pytest.mark.parametrize("name", TEXT_FLOPS)
def test_texts_cost_no_more(name: str, recipe_folder: Callable[[str], Path]) -> None:
    checkpoint = load_checkpoint(recipe_folder(name))
    tokens = checkpoint.tokenizer(TEXTS)
    with FlopCounterMode(display=False) as counter:
        TorchEngine(checkpoint.model).encode_texts(tokens.input_ids, tokens.attention_mask)
    assert counter.get_total_flops() == TEXT_FLOPS[name]
    assert tokens.attention_mask.sum() < 0.7 * np.prod(tokens.attention_mask.shape)  # there was padding to save


@pytest.mark.parametrize("name", MOST_OPERATIONS)
def test_the_graph_has_no_more_operations(name: str, recipe_folder: Callable[[str], Path]) -> None:
    checkpoint = load_checkpoint(recipe_folder(name))
    size = checkpoint.config.preprocessing.height, checkpoint.config.preprocessing.width
    nodes = [node for node in image_graph(checkpoint.model, size).graph.nodes if node.op == "call_function"]
    assert len(nodes) <= MOST_OPERATIONS[name]
