"""The same images in other batches: permuted, of random sizes, each image at least twice.

The logits of an image do not depend on the images beside it, on its place, or on how often the model was called. So
truth that is known for each image is truth for every batch of them.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import repeat

import numpy as np

from zoo.contract.evidence import Probe

TIMES = 2  # each image is run
SIZES = 7  # different batch sizes, where there are images enough
BATCH = "batch-"  # how the names of new batches begin
LARGE = (256, 128, 64, 32, 16)  # batches that are run once, as far as `LARGE_VALUES` allows
LARGE_VALUES = 2_500_000  # in the images of all large batches: three colours of 224 by 224 allow one of 16
ALIKE = 8.0  # batches mix images whose logits differ by less than this factor: they share one rounding error

Place = tuple[int, int]  # the index of a probe, and of an image in it


def regrouped(probes: Sequence[Probe], seed: int, size: int | None = None) -> list[Probe]:
    """The images of `probes`, which have truth, in new batches that `seed` and the truth decide.

    Args:
        size: of every batch, for an artifact that takes no other; images are repeated to fill the last one.

    Large batches hold images of every kind, over and over. The rounding error of a batch is the largest one of the
    probes that its images are from. The first batch comes again at the end, so that a file that changes from call to
    call is noticed.
    """
    generator = np.random.default_rng((seed, 3))
    batches: list[list[Place]] = []
    for group in _groups(probes):
        places = [(index, image) for index in group for image in range(probes[index].n)]
        queue = [place for _ in range(TIMES) for place in _shuffled(places, generator)]
        if size is not None:
            queue = [queue[index % len(queue)] for index in range(-(-len(queue) // size) * size)]
        sizes = _sizes(len(queue), generator) if size is None else repeat(size)
        while queue:
            n = next(sizes)
            batches.append(queue[:n])
            queue = queue[n:]
    if size is None:
        batches += _large(probes, generator)
    batches = [batches[index] for index in generator.permutation(len(batches))]
    return [compose(probes, batch, _name(k, batch, seed)) for k, batch in enumerate([*batches, *batches[:1]], 1)]


def in_batches_of(probes: Sequence[Probe], n: int) -> list[Probe]:
    """The same probes for an artifact of a fixed batch: cut into batches of `n`, the last filled up by repetition."""
    batches = []
    for index, probe in enumerate(probes):
        for start in range(0, probe.n, n):
            places = [(index, (start + offset) % probe.n) for offset in range(n)]
            batches.append(compose(probes, places, probe.name if probe.n <= n else f"{probe.name} from {start}"))
    return batches


def compose(probes: Sequence[Probe], batch: Sequence[Place], name: str) -> Probe:
    """A probe of the images at these places, with their truth."""
    used = {index: probes[index] for index, _ in batch}
    return Probe(
        name,
        np.stack([used[index].images[image] for index, image in batch]),
        np.stack([used[index].truth[image] for index, image in batch]),
        max(probe.rounding_error for probe in used.values()),
        {
            label: max(probe.rounding_errors[label] for probe in used.values())
            for label in set.intersection(*(set(probe.rounding_errors) for probe in used.values()))
        },
        tolerance_factor=max(probe.tolerance_factor for probe in used.values()),
    )


def _groups(probes: Sequence[Probe]) -> list[list[int]]:
    """The indices of probes whose images have one shape, and whose logits are of one order of magnitude."""
    groups: list[list[int]] = []
    for index in sorted(range(len(probes)), key=lambda index: (probes[index].images.shape[1:], probes[index].peak)):
        first = probes[groups[-1][0]] if groups else None
        probe = probes[index]
        alike = first is not None and probe.images.shape[1:] == first.images.shape[1:]
        if alike and first is not None and probe.peak <= ALIKE * first.peak:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _large(probes: Sequence[Probe], generator: np.random.Generator) -> list[list[Place]]:
    """Large batches of the images of the most frequent shape, of which no two sizes are alike."""
    shapes = Counter[tuple[int, ...]]()
    for probe in probes:
        shapes[probe.images.shape[1:]] += probe.n
    (shape, _), *_ = shapes.most_common(1)
    places = [(k, i) for k, probe in enumerate(probes) if probe.images.shape[1:] == shape for i in range(probe.n)]
    left, batches = LARGE_VALUES // math.prod(shape), []
    for n in LARGE:
        if n <= left:
            left -= n
            queue = _shuffled(places, generator)
            batches.append([queue[index % len(queue)] for index in range(n)])
    return batches


def _shuffled(places: Sequence[Place], generator: np.random.Generator) -> list[Place]:
    return [places[index] for index in generator.permutation(len(places))]


def _sizes(images: int, generator: np.random.Generator) -> Iterator[int]:
    """Batch sizes: 1, 2, 3 and others at random, in random order, again and again."""
    largest = max(SIZES + 2, images // 6)
    others = generator.permutation(np.arange(4, largest + 1))[: SIZES - 3]
    while True:
        yield from (int(size) for size in generator.permutation([1, 2, 3, *others]))


def _name(number: int, batch: Sequence[Place], seed: int) -> str:
    return f"{BATCH}{number}-of-{len(batch)}-seed-{seed}"
