from __future__ import annotations

import base64
import io
import re

import numpy as np
from PIL import Image

from dualsight.interface.page_walk.figures import picture, rising, signed


def _decoded(html: str) -> Image.Image:
    found = re.search(r'src="data:image/\w+;base64,([^"]+)"', html)
    assert found
    return Image.open(io.BytesIO(base64.b64decode(found[1])))


def test_a_picture_carries_its_own_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    html = picture(pixels, 'a "quoted" <name>', kind="tokens")
    assert (np.asarray(_decoded(html)) == pixels).all()
    assert 'width="7" height="5"' in html
    assert 'alt="a &quot;quoted&quot; &lt;name&gt;"' in html


def test_a_large_picture_is_made_smaller() -> None:
    image = _decoded(picture(np.zeros((400, 200, 3), np.uint8), "", longest=100))
    assert (image.size, image.format) == ((50, 100), "JPEG")


def test_rising_colours_grow_lighter() -> None:
    lightness = rising(np.arange(256, dtype=np.uint8)[None])[0] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) >= -0.5).all()
    assert lightness[-1] - lightness[0] > 180


def test_signs_have_colours_and_zero_has_none() -> None:
    drawn = signed(np.array([-1.0, 0.0, 1.0, 1.0, 0.0]), columns=4).astype(int)
    assert drawn.shape == (2, 4, 3)
    below, zero, above = drawn[0, 0], drawn[0, 1], drawn[0, 2]
    assert below[2] > below[0]
    assert above[0] > above[2]
    assert np.ptp(zero) < 12
    assert (drawn[1, 1:] == zero).all()


def test_a_vector_of_zeros_is_drawn() -> None:
    assert (signed(np.zeros(3), columns=3) == signed(np.zeros(1), columns=1)).all()
