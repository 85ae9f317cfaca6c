"""Draw synthetic chest images: similar to radiographs at first sight, and of no person."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE = 256


def phantom(seed: str, finding: str, *, lateral: bool = False) -> Image:
    """Draw a synthetic chest image: see `cxrbuild.phantom`."""
    from PIL import Image, ImageChops, ImageDraw, ImageFilter

    draw_of = random.Random(seed)  # noqa: S311 - an image, not a secret
    near = draw_of.gauss
    image = Image.new("L", (_SIDE, _SIDE), 12)
    draw = ImageDraw.Draw(image)
    draw.ellipse((near(16, 4), near(6, 3), near(240, 4), 330), fill=int(near(150, 8)))
    if lateral:
        draw.ellipse((70, 40, near(190, 6), near(230, 6)), fill=70)
    else:
        for left in (42, 138):
            draw.ellipse(
                (near(left, 4), near(40, 4), near(left + 76, 4), near(212, 6)), fill=int(near(62, 5))
            )
        spine = near(128, 5)
        draw.rounded_rectangle((spine - 10, 0, spine + 10, 255), 8, fill=178)
        draw.ellipse((near(108, 3), near(128, 4), near(184, 5), near(222, 4)), fill=172)
    image = image.filter(ImageFilter.GaussianBlur(4))

    ribs = Image.new("L", image.size, 0)
    lines = ImageDraw.Draw(ribs)
    for nth in range(8):
        # Each rib at its own height and bend: two patients' images are not copies of each other.
        for left, begin, end in ((14, 190, 330), (126, 210, 350)):
            top = near(34 + 24 * nth, 9)
            lines.arc((left, top, left + 116, top + near(60, 10)), begin, end, fill=int(near(36, 6)), width=6)
    for root in (84, 172):
        for _ in range(32):
            top, away, down = near(130, 24), near(0, 24), near(0, 30)
            lines.line((root, top, root + away, top + down), fill=int(near(42, 10)), width=2)
    image = ImageChops.add(image, ribs.filter(ImageFilter.GaussianBlur(1.5)))

    patches = Image.new("L", image.size, 0)
    spots = ImageDraw.Draw(patches)
    if finding == "COVID-19":
        centres = [(near(x, 5), near(y, 14), near(20, 3)) for x in (58, 198) for y in (140, 180)]
    elif finding == "Pneumonia":
        centres = [(near(draw_of.choice((80, 176)), 6), near(150, 16), near(34, 4))]
    else:
        centres = []
    for x, y, radius in centres:
        spots.ellipse((x - radius, y - radius, x + radius, y + radius), fill=78)
    image = ImageChops.add(image, patches.filter(ImageFilter.GaussianBlur(7)))

    noise = Image.frombytes("L", image.size, draw_of.randbytes(_SIDE * _SIDE)).filter(ImageFilter.BoxBlur(1))
    return Image.blend(image, noise, 0.06)
