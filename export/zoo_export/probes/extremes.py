"""Fresh images with what data sets hold and noise does not: large areas of exactly black or white, and every tone.

Half of the pixels of Fashion-MNIST are exactly black, and four fifths of MNIST. So shares of extreme pixels,
brightness, contrast, colourfulness and sharpness are spread over their whole range, from one image to the next.
All images are float64 `[N, C, H, W]` in 0 to 255.
"""

import numpy as np
import numpy.typing as npt

Drawn = npt.NDArray[np.float64]
POINTS = 24  # of a stroke
LEAST, MOST = 0.1, 0.98  # of the pixels, that are extreme


def clipped_images(shape: tuple[int, int, int], n: int, generator: np.random.Generator) -> Drawn:
    """Dark, light and hard images in turn: a fraction of the pixels is exactly black, exactly white, or both.

    Each second image is clipped in every channel by itself, so that its colours are saturated.
    """
    images = spectral_images(shape, n, generator, generator.uniform(0, 1.5, n))
    shares = _spread(n, generator) * (MOST - LEAST) + LEAST
    for index, (image, fraction) in enumerate(zip(images, shares, strict=True)):
        black = (1.0, 0.0, generator.uniform(0.2, 0.8))[index % 3] * fraction
        each = image if index % 2 else np.broadcast_to(image.mean(0), shape)
        for channel, values in enumerate(each):
            order = values.ravel().argsort().argsort().reshape(values.shape) / values.size
            tone = (order - black) / (1 - fraction + 1e-9)
            image[channel] = np.where(order < black, 0, np.where(order >= 1 - fraction + black, 255, 1 + 253 * tone))
    return images.clip(0, 255)


def figures(shape: tuple[int, int, int], n: int, generator: np.random.Generator) -> Drawn:
    """Strokes, silhouettes and letterboxes in turn, on black and on white."""
    images = np.empty((n, *shape))
    inside = spectral_images(shape, n, generator, np.full(n, 1.0)) * 45 + generator.uniform(60, 220, (n, 1, 1, 1))
    for index in range(n):
        mask = (_strokes, _silhouette, _letterbox)[index // 2 % 3](shape, generator)
        content = inside[index].clip(1, 254) if index // 6 % 2 else np.float64(generator.choice([128, 200, 255]))
        images[index] = np.where(mask, content, 0)
        if index % 2:
            images[index] = 255 - images[index]
    return images


def toned_images(shape: tuple[int, int, int], n: int, generator: np.random.Generator) -> Drawn:
    """Images of every brightness, contrast, colourfulness and sharpness, each drawn apart from the others."""
    images = spectral_images(shape, n, generator, 2.5 * _spread(n, generator))
    colour = np.array([0.0, 1.0, 3.0])[generator.permutation(n) % 3].reshape(-1, 1, 1, 1)
    grey = images.mean(1, keepdims=True)
    contrast = np.exp(np.log(120) * _spread(n, generator)).reshape(-1, 1, 1, 1)
    brightness = 255 * _spread(n, generator).reshape(-1, 1, 1, 1)
    cast = generator.normal(size=(n, shape[0], 1, 1)) * 40 * (colour > 1)
    toned: Drawn = np.clip(brightness + cast + contrast * (grey + colour * (images - grey)), 0, 255)
    return toned


def spectral_images(
    shape: tuple[int, int, int], n: int, generator: np.random.Generator, falls: npt.NDArray[np.float64]
) -> Drawn:
    """Waves of mean 0 and deviation 1, whose amplitudes fall as 1 / frequency ** `falls`; channels are alike."""
    channels, height, width = shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    frequency[0, 0] = 1 / max(height, width)
    waves = generator.normal(size=(n, 1, height, width)) + 0.5 * generator.normal(size=(n, channels, height, width))
    images: Drawn = np.fft.ifft2(np.fft.fft2(waves) / frequency ** falls.reshape(-1, 1, 1, 1)).real
    images -= images.mean((2, 3), keepdims=True)
    images /= images.std((2, 3), keepdims=True) + 1e-9
    return images


def _spread(n: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """`n` numbers in 0 to 1, one in each n-th of it, in random order."""
    places: npt.NDArray[np.float64] = (generator.permutation(n) + generator.uniform(size=n)) / max(1, n)
    return places


def _places(shape: tuple[int, int, int]) -> tuple[Drawn, Drawn]:
    _, height, width = shape
    return (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None] + 0.5) / width


def _strokes(shape: tuple[int, int, int], generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """One to three bent lines, as of a digit."""
    y, x = _places(shape)
    near = np.full((y.size, x.size), np.inf)
    for _ in range(int(generator.integers(1, 4))):
        start, middle, end = generator.uniform(0.15, 0.85, (3, 2))
        for t in np.linspace(0, 1, POINTS):
            at = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
            near = np.minimum(near, np.hypot(y - at[0], x - at[1]))
    thick = generator.uniform(0.02, 0.08)
    line: npt.NDArray[np.bool_] = near <= max(float(thick), float(near.min()))
    return line


def _silhouette(shape: tuple[int, int, int], generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """One area around the middle, with a wavy outline."""
    y, x = _places(shape)
    middle = generator.uniform(0.4, 0.6, 2)
    angle = np.arctan2(y - middle[0], x - middle[1])
    waves, phase = int(generator.integers(2, 7)), generator.uniform(0, 6.28)
    outline = generator.uniform(0.15, 0.45) * (1 + 0.3 * np.sin(waves * angle + phase))
    inside: npt.NDArray[np.bool_] = np.hypot(y - middle[0], x - middle[1]) <= outline
    return inside


def _letterbox(shape: tuple[int, int, int], generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """All but two bars at opposite sides."""
    y, x = _places(shape)
    bar = generator.uniform(0.05, 0.4)
    across = np.broadcast_to(y if generator.uniform() < 0.5 else x, (y.size, x.size))
    inside: npt.NDArray[np.bool_] = (across > bar) & (across < 1 - bar)
    return inside
