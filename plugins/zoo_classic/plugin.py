"""The specs of this plugin. Imports neither torch nor numpy."""

from collections.abc import Iterator

from zoo import Architecture, Param, hookimpl

RESNET = "He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition. arXiv:1512.03385"
WIDE_RESNET = "Zagoruyko, Komodakis: Wide Residual Networks. arXiv:1605.07146"
VGG = "Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition. arXiv:1409.1556"

RESNET_CIFAR = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}
RESNET_SMALL_INPUT = {18: 11_173_962, 34: 21_282_122}
WIDE = {(16, 4): 2_748_890, (28, 10): 36_479_194}
VGG_CIFAR = {11: 9_231_114, 16: 14_728_266}


@hookimpl
def zoo_specs() -> Iterator[Architecture]:
    """The architectures, by family."""
    yield Architecture(
        name="lenet5",
        summary="LeNet-5: two convolutions and three linear layers, for digits",
        build="zoo_classic.lenet:LeNet5",
        input_shape=(1, 32, 32),
        num_classes=10,
        channels=(1, 3),
        sizes=(28, 32),
        params={
            "activation": Param(default="tanh", choices=("tanh", "sigmoid", "relu"), summary="activation function")
        },
        parameters=61_706,
        paper="LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition. "
        "Proceedings of the IEEE 86(11), 1998",
    )
    yield Architecture(
        name="alexnet_cifar",
        summary="AlexNet for 32x32 images: five convolutions and one linear layer",
        build="zoo_classic.alexnet_cifar:CifarAlexNet",
        input_shape=(3, 32, 32),
        num_classes=10,
        min_size=29,
        parameters=2_472_266,
        paper="Krizhevsky: One weird trick for parallelizing convolutional neural networks. arXiv:1404.5997; "
        "32x32 form of bearpaw/pytorch-classification",
    )
    for depth, parameters in VGG_CIFAR.items():
        yield Architecture(
            name=f"vgg{depth}_cifar",
            summary=f"VGG-{depth} for 32x32 images, with BatchNorm and one linear layer",
            build="zoo_classic.vgg_cifar:CifarVGG",
            input_shape=(3, 32, 32),
            num_classes=10,
            min_size=32,
            build_args={"depth": depth},
            params={"batch_norm": Param(default=True, summary="BatchNorm after each convolution")},
            parameters=parameters,
            paper=VGG,
        )
    for depth, parameters in RESNET_CIFAR.items():
        yield Architecture(
            name=f"resnet{depth}",
            summary=f"ResNet-{depth} for CIFAR, with parameter-free shortcuts",
            build="zoo_classic.resnet_cifar:CifarResNet",
            input_shape=(3, 32, 32),
            num_classes=10,
            build_args={"depth": depth},
            parameters=parameters,
            paper=RESNET,
        )
    for depth, parameters in RESNET_SMALL_INPUT.items():
        yield Architecture(
            name=f"resnet{depth}_cifar",
            summary=f"ResNet-{depth} of ImageNet with a stem for small images",
            build="zoo_classic.resnet_small_input:SmallInputResNet",
            input_shape=(3, 32, 32),
            num_classes=10,
            build_args={"depth": depth},
            parameters=parameters,
            paper=RESNET,
        )
    for (depth, width), parameters in WIDE.items():
        yield Architecture(
            name=f"wrn_{depth}_{width}",
            summary=f"Wide ResNet of {depth} layers, {width} times as wide as ResNet",
            build="zoo_classic.wide_resnet:WideResNet",
            input_shape=(3, 32, 32),
            num_classes=10,
            build_args={"depth": depth, "width": width},
            params={"dropout": Param(default=0.0, summary="probability of dropout inside each block")},
            parameters=parameters,
            paper=WIDE_RESNET,
        )
