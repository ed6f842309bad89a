"""Fresh probes: images that nobody could know when a file was made, drawn anew at every verification.

The stored probes are public, and a file can be made to be right on them and wrong elsewhere. These are drawn from a
seed that is chosen when the check runs, and that is printed so that the check can be repeated.
"""

import math
import secrets
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from zoo.contract.evidence import Probe
from zoo.contract.preprocess import Preprocess
from zoo.data.images import normalise_array
from zoo_export.probes.extremes import clipped_images, figures, spectral_images, toned_images

Pixels = npt.NDArray[np.uint8]
FRESH = "fresh-"  # how the names of these probes begin
MOST, LEAST = 200, 16  # images
VALUES = 600_000  # in all images, within these bounds: a large image costs more
REAL = 0.5  # of the images, where a data set is at hand
COARSE = 4  # places to a side of a smooth image


def new_seed() -> int:
    """A seed that nobody can predict."""
    return secrets.randbelow(2**32)


def image_count(preprocess: Preprocess) -> int:
    """How many fresh images are drawn: it depends on their size alone, so that a seed repeats them."""
    return min(MOST, max(LEAST, VALUES // math.prod(preprocess.input_shape)))


def real_count(preprocess: Preprocess) -> int:
    """How many of these are images of a data set, where there is one."""
    return int(REAL * image_count(preprocess))


def fresh_probes(preprocess: Preprocess, seed: int, real: Sequence[Pixels] = ()) -> list[Probe]:
    """One probe for each kind of image: noise, natural, clipped, figures, others (`_KINDS`), and real ones.

    Args:
        real: uint8 `[C, H, W]` each, of the model's size.
    """
    generator = np.random.default_rng((seed, 1))
    n = image_count(preprocess) - len(real)
    each, rest = divmod(n, len(_KINDS) + 2)
    counts = {name: max(1, each + (index < rest)) for index, name in enumerate((*_KINDS, "mixed", "patched"))}
    made = {name: _pixels(draw(preprocess, counts[name], generator)) for name, draw in _KINDS.items()}
    others = np.stack(list(real)) if len(real) else made["natural"]
    mixed, patched = (others[generator.integers(len(others), size=counts[name])] for name in ("mixed", "patched"))
    weight = generator.uniform(0.1, 0.9, (counts["mixed"], 1, 1, 1))
    made["mixed"] = _pixels(weight * mixed + (1 - weight) * _noise(preprocess, counts["mixed"], generator))
    frames = [_patched(image, kind, generator) for kind, image in enumerate(patched.astype(np.float64))]
    made["patched"] = _pixels(np.stack(frames))
    if len(real):
        made["real"] = others
    return [Probe(f"{FRESH}{name}-{len(images)}", normalise_array(images, preprocess)) for name, images in made.items()]


def _pixels(values: npt.NDArray[np.float64]) -> Pixels:
    return values.clip(0, 255).round().astype(np.uint8)


def _noise(preprocess: Preprocess, n: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Independent values: of the whole range in half of the images, around a grey of their own in the others."""
    shape = (n, *preprocess.input_shape)
    around = generator.uniform(0, 255, (n, 1, 1, 1)) + generator.uniform(5, 60, (n, 1, 1, 1)) * generator.normal(
        size=shape
    )
    return np.where(np.arange(n).reshape(-1, 1, 1, 1) % 2 == 0, generator.uniform(0, 256, shape), around)


def _smooth(preprocess: Preprocess, n: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """A few coarse values, interpolated in between."""
    height, width = preprocess.size
    coarse = generator.uniform(0, 255, (n, preprocess.channels, COARSE, COARSE))
    for axis, side in ((2, height), (3, width)):
        places = np.linspace(0, COARSE - 1, side)
        low = np.floor(places).astype(int).clip(0, COARSE - 2)
        weight = (places - low).reshape([-1 if each == axis else 1 for each in range(4)])
        coarse = np.take(coarse, low, axis) * (1 - weight) + np.take(coarse, low + 1, axis) * weight
    return coarse


def _natural(preprocess: Preprocess, n: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """The spectrum of photographs: amplitudes that fall off as 1 / frequency; the channels are much alike."""
    images = spectral_images(preprocess.input_shape, n, generator, np.ones(n))
    return generator.uniform(80, 175, (n, 1, 1, 1)) + generator.uniform(30, 80, (n, 1, 1, 1)) * images


def _constant(preprocess: Preprocess, n: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """One colour each."""
    colours = generator.uniform(0, 255, (n, preprocess.channels, 1, 1))
    return np.broadcast_to(colours, (n, *preprocess.input_shape)).astype(np.float64)


def _patched(image: npt.NDArray[np.float64], kind: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """With a frame or a rectangle of white, black or another colour: triggers that are placed in images look so."""
    height, width = image.shape[1:]
    colours = [np.full((len(image), 1, 1), value) for value in (255.0, 0.0)]
    colour = [*colours, generator.uniform(0, 255, (len(image), 1, 1))][kind // 2 % 3]
    inside = np.ones((height, width), bool)
    if kind % 2:
        sides = generator.integers(1, max(2, min(height, width) // 3 + 1), 2)
        top, left = generator.integers(0, (max(1, height - sides[0] + 1), max(1, width - sides[1] + 1)))
        inside[top : top + sides[0], left : left + sides[1]] = False
    else:
        thick = int(generator.integers(1, max(2, min(height, width) // 8 + 1)))
        inside[:thick] = inside[-thick:] = inside[:, :thick] = inside[:, -thick:] = False
    return np.where(inside, image, colour)


def _clipped(preprocess: Preprocess, n: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    return clipped_images(preprocess.input_shape, n, generator)


def _figures(preprocess: Preprocess, n: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    return figures(preprocess.input_shape, n, generator)


def _toned(preprocess: Preprocess, n: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    return toned_images(preprocess.input_shape, n, generator)


_KINDS: dict[str, Callable[[Preprocess, int, np.random.Generator], npt.NDArray[np.float64]]] = {
    "clipped": _clipped,  # first, as the first kinds get the images that are left over
    "figures": _figures,
    "toned": _toned,
    "noise": _noise,
    "smooth": _smooth,
    "natural": _natural,
    "constant": _constant,
}
