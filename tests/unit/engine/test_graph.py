"""How many operations other runtimes are given, counted on small models: a cheap guard of their speed.

A change that needs more of them fails here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dualsight.checkpoint.load import load_checkpoint
from dualsight.engine.graph import image_graph

MOST_OPERATIONS = {"davit": 1543, "davit-mup": 1217, "coswin": 1118}


@pytest.mark.parametrize("name", MOST_OPERATIONS)
def test_the_graph_has_no_more_operations(name: str, recipe_folder: Callable[[str], Path]) -> None:
    checkpoint = load_checkpoint(recipe_folder(name))
    size = checkpoint.config.preprocessing.height, checkpoint.config.preprocessing.width
    nodes = [node for node in image_graph(checkpoint.model, size).graph.nodes if node.op == "call_function"]
    assert len(nodes) <= MOST_OPERATIONS[name]
