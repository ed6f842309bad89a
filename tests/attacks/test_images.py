"""Images that would run a program, take all memory, or hang are refused; ordinary ones keep their pixels."""

import json
import os
import stat
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import zoo_runtime
from zoo.contract.errors import DataError
from zoo.contract.preprocess import Preprocess
from zoo.data import images
from zoo.data.images import FORMATS, crop_box, fit_image, open_image

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
PREPROCESS = Preprocess(size=(8, 8), mean=(0.5,) * 3, std=(0.5,) * 3, shorter_side=8)


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Written by a program `gs` that is found first."""
    programs, path = tmp_path / "programs", tmp_path / "marker"
    programs.mkdir()
    program = programs / "gs"
    program.write_text(f"#!/bin/sh\necho run >> {path}\necho 10.0\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return path


def test_no_program_is_run_for_an_image(tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(EPS)
    code = (
        "import sys; from pathlib import Path; from zoo.data.images import open_image\n"
        "try: open_image(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "import zoo_runtime\n"
        "how = {'mean': [0.5], 'std': [0.5], 'size': [8, 8], 'shorter_side': 8}\n"
        "try: zoo_runtime.prepare_image(sys.argv[1], how)\n"
        "except zoo_runtime.Error as error: print('Error', error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "DataError" in ran.stdout and "Error" in ran.stdout.splitlines()[-1]
    assert not marker.exists()


@pytest.mark.parametrize("name", ["photo.png", "photo.eps", "photo.jpg"])
def test_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(EPS)
    with pytest.raises(DataError, match="supported format") as caught:
        open_image(path)
    assert caught.value.next_step


@pytest.mark.parametrize("format", ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"])
def test_formats_are_known_by_their_content(tmp_path: Path, format: str) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (9, 8), (10, 20, 30)).save(path, format)
    opened = open_image(path)
    assert (opened.size, opened.format) == ((9, 8), format)
    assert str(getattr(opened, "filename", "")) == str(path)
    assert zoo_runtime.prepare_image(path, PREPROCESS.to_dict() | {"interpolation": "bilinear"}).shape == (3, 8, 8)


def test_both_readers_know_the_same_formats() -> None:
    assert set(zoo_runtime.FORMATS) == set(FORMATS)


@pytest.mark.parametrize("missing", [("AVIF",), ("JPEG2000", "AVIF")])
def test_a_pillow_without_a_codec_explains_bad_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]
) -> None:
    Image.init()
    for name in missing:
        monkeypatch.delitem(Image.OPEN, name, raising=False)
    images._formats.cache_clear()
    path, sound = tmp_path / "bad.jpg", tmp_path / "sound.png"
    path.write_bytes(b"no image")
    Image.new("RGB", (9, 8)).save(sound)
    try:
        for read, error in ((open_image, DataError), (zoo_runtime.read_pixels, zoo_runtime.Error)):
            how = () if read is open_image else (PREPROCESS.to_dict(),)
            with pytest.raises(error, match="damaged") as caught:
                read(path, *how)  # type: ignore[operator]
            assert str(path) in str(caught.value) and "no 'AVIF'" not in str(caught.value)
            read(sound, *how)  # type: ignore[operator]
        zoo_runtime.read_pixels(sound.read_bytes(), PREPROCESS.to_dict())
    finally:
        images._formats.cache_clear()


def png(width: int, height: int) -> bytes:
    """A PNG file that says it has that size, and holds almost nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1)])
def test_images_of_too_many_pixels_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(*size))
    with pytest.raises(DataError, match="pixels") as caught:
        open_image(path)
    assert caught.value.next_step
    with pytest.raises(zoo_runtime.Error):
        zoo_runtime.prepare_image(path, PREPROCESS.to_dict())


MODES: list[dict[str, Any]] = [
    {},
    {"shorter_side": 256},
    {"shorter_side": 256, "crop_mode": "squash"},
    {"shorter_side": 256, "crop_mode": "border"},
]
PEAK = """
import json, resource, sys
from pathlib import Path
from PIL import Image
Image.MAX_IMAGE_PIXELS = None
how = json.loads(sys.argv[2])
if sys.argv[1] == "zoo":
    from zoo.contract.preprocess import Preprocess
    from zoo.data.images import fit_image, open_image
    prepare = lambda path: fit_image(open_image(path), Preprocess.from_dict(how))
else:
    from zoo_runtime import read_pixels
    prepare = lambda path: read_pixels(path, how)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
for path in sys.argv[3:]:
    pixels = prepare(Path(path))
    assert pixels.shape == (3, 224, 224), pixels.shape
print(peak() - before)
"""


@pytest.mark.parametrize("who", ["zoo", "runtime"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.get("crop_mode", "center" if mode else "none"))
def test_narrow_images_do_not_take_much_memory(tmp_path: Path, who: str, mode: dict[str, Any]) -> None:
    paths = []
    for size in ((30_000, 1), (1, 30_000), (4_000_000, 1), (1, 4_000_000)):
        paths.append(str(tmp_path / f"{size[0]}x{size[1]}.png"))
        Image.new("RGB", size, (10, 20, 30)).save(paths[-1])
    how = Preprocess(size=(224, 224), mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic", **mode).to_dict()
    command = [sys.executable, "-c", PEAK, who, json.dumps(how), *paths]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 200  # MiB; whole rows would be widened to 3,600, and the whole image have 20,000


@st.composite
def narrow_images(draw: st.DrawFn) -> Image.Image:
    short, long = draw(st.integers(1, 3)), draw(st.integers(1, 30_000))
    shape = (short, long) if draw(st.booleans()) else (long, short)
    channels = draw(st.sampled_from([(), (3,)]))
    return Image.fromarray(np.random.default_rng(long).integers(0, 256, (*shape, *channels), np.uint8))


@given(
    narrow_images(),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.none() | st.integers(40, 300),
    st.sampled_from(["center", "squash", "border"]),
    st.sampled_from(["nearest", "bilinear", "bicubic"]),
    st.sampled_from([1 << 12, 1 << 18, images.RESIZED_WHOLE]),
    st.sampled_from([1, 3]),
)
def test_zoo_and_the_runtime_agree_on_narrow_images(
    image: Image.Image,
    size: tuple[int, int],
    side: int | None,
    mode: Any,
    interpolation: Any,
    whole: int,
    channels: int,
) -> None:
    """Bit for bit, with lower bounds for what is resized whole, too."""
    how = Preprocess(
        size=size,
        mean=(0.4, 0.5, 0.6)[:channels],
        std=(0.5,) * channels,
        shorter_side=side,
        crop_mode="center" if side is None else mode,
        interpolation=interpolation,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "RESIZED_WHOLE", whole)
        patch.setattr(zoo_runtime, "RESIZED_WHOLE", whole)
        pixels = fit_image(image, how)
        assert pixels.shape == how.input_shape
        assert (zoo_runtime.read_pixels(image, how.to_dict()) == pixels).all()


@given(
    st.tuples(st.integers(1, 120), st.integers(1, 120)),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.none() | st.integers(30, 60),
    st.sampled_from(["center", "squash", "border"]),
    st.sampled_from(["bilinear", "bicubic"]),
)
def test_parts_are_resized_as_the_whole_is(
    shape: tuple[int, int], size: tuple[int, int], side: int | None, mode: Any, interpolation: Any
) -> None:
    """Up to two levels: the order of rounding differs."""
    how = Preprocess(
        size=size,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        shorter_side=side,
        crop_mode="center" if side is None else mode,
        interpolation=interpolation,
    )
    image = Image.fromarray(np.random.default_rng(shape).integers(64, 192, (*shape, 3), np.uint8))  # nothing is clipped
    whole = fit_image(image, how).astype(int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "RESIZED_WHOLE", 0)
        assert np.abs(fit_image(image, how) - whole).max() <= 2


def test_narrow_images_show_their_centre() -> None:
    """A stripe in the middle of 30,000 pixels fills the crop."""
    pixels = np.zeros((1, 30_000, 3), np.uint8)
    pixels[:, 14_990:15_010] = 200
    how = Preprocess(size=(224, 224), mean=(0.5,) * 3, std=(0.5,) * 3, shorter_side=256)
    assert (fit_image(pixels, how) == 200).all()
    assert (fit_image(pixels.transpose(1, 0, 2).copy(), how) == 200).all()


def test_only_what_is_cropped_is_resized(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 by 8,192 pixels with the shorter side at 4,096 would have 8.6 billion."""
    sizes = []
    resize = Image.Image.resize

    def recorded(self: Image.Image, size: tuple[int, int], *more: object, **named: object) -> Image.Image:
        sizes.append(size)
        return resize(self, size, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", recorded)
    how = Preprocess(size=(64, 64), mean=(0.5,), std=(0.5,), shorter_side=4096)
    assert fit_image(Image.new("L", (16, 8192), 7), how).tolist() == [[[7] * 64] * 64]
    assert sizes == [(64, 64)]


@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 40),
    st.sampled_from(["nearest", "bilinear", "bicubic"]),
)
def test_ordinary_images_keep_their_pixels(
    width: int, height: int, rows: int, columns: int, more: int, interpolation: str
) -> None:
    """The pixels are those of resizing the whole image and cropping it."""
    how = Preprocess(
        size=(rows, columns),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        shorter_side=max(rows, columns) + more,
        interpolation=interpolation,  # type: ignore[arg-type]
    )
    image = Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8))
    box, resized = crop_box(image.size, how)
    whole = image.resize(resized, getattr(Image.Resampling, interpolation.upper())).crop(box)
    assert (fit_image(image, how) == np.asarray(whole).transpose(2, 0, 1)).all()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_fifo_is_no_image(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    os.mkfifo(path)
    with pytest.raises(DataError, match="FIFO"):
        open_image(path)
