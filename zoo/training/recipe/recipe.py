"""Everything that decides a training run, as plain data that the card records."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from zoo.training.optim.optimizers import OPTIMIZERS
from zoo.training.optim.schedules import SCHEDULES
from zoo.training.recipe.command import recipe_command
from zoo.training.recipe.consistency import checked_values, refuse_inconsistent, schedule_fields
from zoo.training.recipe.defaults import FINE_TUNING, HEAD_INIT_SCALE, default_of, derived_fields
from zoo.training.recipe.field import MAX_COUNT, MAX_RATE, MAX_SIDE, Field, declared, explained

VERSION = 5  # see `zoo.training.recipe.file` for what earlier versions did


@explained
@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run. On a CPU, two runs of one recipe with the same versions of the libraries give the same weights.

    Each field is declared here with its help, range and default, which `zoo train --help` shows. Where `lr`,
    `weight_decay`, `momentum` or `head_init_scale` is `None`, that of the optimizer and initial weights is filled in.

    Raises:
        UsageError: a field is missing or unknown, or a value has the wrong type, is out of range, or has no effect with
            the other values.
    """

    architecture: Annotated[str, Field("Model", "Name of the architecture; see `zoo list`.", in_report=False)]
    data: Annotated[
        str,
        Field(
            "Data",
            "Name of the data set, see `zoo list datasets`; or a folder of your own images.",
            metavar="NAME|PATH",
            in_report=False,
        ),
    ]
    params: Annotated[
        Mapping[str, Any],
        Field(
            "Model",
            "Set a parameter of the architecture; can be repeated.",
            goes_with="architecture",
            metavar="NAME=VALUE",
            long="--param",
            short="-p",
            in_report=False,
        ),
    ] = field(default_factory=dict)
    img_size: Annotated[
        int | None,
        Field(
            "Data",
            "Height and width of the images in pixels.",
            ge=1,
            le=MAX_SIDE,
            unset="chosen to fit the data set and the architecture",
            in_report=False,
            old="image_size",
        ),
    ] = None
    channels: Annotated[
        int | None,
        Field(
            "Data",
            "Number of image channels: 1 for greyscale, 3 for RGB.",
            ge=1,
            le=1024,
            unset="chosen to fit the data set and the architecture",
            in_report=False,
        ),
    ] = None
    loss: Annotated[str, Field("Loss", "Name of the loss; see `zoo list losses`.", metavar="NAME", in_report=False)] = (
        "cross_entropy"
    )
    loss_params: Annotated[
        Mapping[str, Any],
        Field(
            "Loss",
            "Set a parameter of the loss; can be repeated.",
            goes_with="loss",
            metavar="NAME=VALUE",
            long="--loss-param",
            in_report=False,
        ),
    ] = field(default_factory=dict)
    initial_checkpoint: Annotated[
        str,
        Field(
            "Model",
            "Start from these weights: ARCH.TAG, a path or a hub folder. A head for other classes is initialised anew.",
            note="A hub folder has config.json and model.safetensors. Images are normalised as these weights saw "
            "theirs. The recipe of a run appends `@` and the first digits of their digest: weights with another digest "
            "are then refused.",
            metavar="WEIGHTS",
            off="",
            old="init",
        ),
    ] = ""
    freeze: Annotated[
        bool,
        Field(
            "Model",
            "Train only the classifier head; requires --initial-checkpoint.",
            note="BatchNorm statistics below the head are frozen too.",
            requires="initial_checkpoint",
            off=False,
        ),
    ] = False
    freeze_bn: Annotated[
        bool | None,
        Field(
            "Model",
            "Keep the BatchNorm statistics of the initial weights; those of small batches are noisy.",
            unset="on when fine-tuning on fewer than 1,280 images",
            goes_with="initial_checkpoint",
            requires="initial_checkpoint",
            off=False,
        ),
    ] = None
    head_init_scale: Annotated[
        float | None,
        Field(
            "Model",
            "Factor of the initial weights of a fresh head, when fine-tuning (1: as built).",
            ge=0,
            le=1000,
            unset=f"{HEAD_INIT_SCALE:g} when fine-tuning",
            goes_with="initial_checkpoint",
            requires="initial_checkpoint",
            off=1.0,
        ),
    ] = None
    epochs: Annotated[int, Field("Schedule", "Number of epochs.", ge=1, lt=MAX_COUNT, in_report=False)] = 10
    batch_size: Annotated[
        int | None,
        Field(
            "Data",
            "Global batch size.",
            note="The ranks of a distributed run divide it among them. For fewer than 1,280 training images, the "
            "default is the largest power of two that leaves 10 steps an epoch, and at least 8.",
            ge=1,
            lt=MAX_COUNT,
            unset="128, or less for fewer than 1,280 training images",
            short="-b",
        ),
    ] = None
    drop_last: Annotated[
        bool,
        Field(
            "Data",
            "Drop the last batch of an epoch if it is not full.",
            note="Without it, only a last batch of a single image is dropped, if the model has batch norm.",
            off=False,
        ),
    ] = False
    opt: Annotated[
        str,
        Field(
            "Optimizer",
            "Optimizer.",
            note="; ".join(f"`{row.name}`: {row.summary}" for row in OPTIMIZERS.values()) + ".",
            choices=tuple(OPTIMIZERS),
            old="optimizer",
        ),
    ] = "adamw"
    lr: Annotated[
        float | None,
        Field("Optimizer", "Peak learning rate.", gt=0, le=MAX_RATE, goes_with="opt", unset=FINE_TUNING),
    ] = None
    weight_decay: Annotated[
        float | None,
        Field(
            "Optimizer",
            "Weight decay.",
            note="Biases, norms, embeddings and scales are not decayed.",
            ge=0,
            le=MAX_RATE,
            goes_with="opt",
        ),
    ] = None
    momentum: Annotated[float | None, Field("Optimizer", "Momentum; beta1 of adamw.", ge=0, lt=1, goes_with="opt")] = (
        None
    )
    clip_grad: Annotated[
        float,
        Field("Optimizer", "Clip the gradient norm to this value (0: off).", ge=0, le=MAX_RATE, off=0.0, old="clip"),
    ] = 0.0
    grad_accum_steps: Annotated[
        int,
        Field(
            "Optimizer",
            "Gradient-accumulation steps.",
            note="An optimizer step averages the gradients of this many batches.",
            ge=1,
            lt=MAX_COUNT,
            off=1,
            old="accumulate",
        ),
    ] = 1
    layer_decay: Annotated[
        float,
        Field(
            "Optimizer",
            "Layer-wise learning-rate decay (1: off).",
            note="The learning rate of each stage is this times that of the stage above.",
            gt=0,
            le=1,
            off=1.0,
        ),
    ] = 1.0
    sched: Annotated[
        str,
        Field(
            "Schedule",
            "Learning-rate schedule.",
            note="; ".join(f"`{row.name}`: {row.summary}" for row in SCHEDULES.values()) + ".",
            choices=tuple(SCHEDULES),
            old="schedule",
        ),
    ] = "cosine"
    decay_milestones: Annotated[
        tuple[float, ...],
        Field(
            "Schedule",
            "Fractions of the run after which the learning rate drops, with --sched step.",
            gt=0,
            lt=1,
            goes_with="sched",
            metavar="X,Y,...",
            old="milestones",
        ),
    ] = (0.5, 0.75)
    decay_rate: Annotated[
        float,
        Field(
            "Schedule",
            "Factor of each drop of the learning rate, with --sched step.",
            gt=0,
            le=1,
            goes_with="sched",
            old="gamma",
        ),
    ] = 0.1
    warmup_epochs: Annotated[
        float,
        Field(
            "Schedule",
            "Epochs of linear warm-up of the learning rate; one_cycle has its own.",
            ge=0,
            lt=MAX_COUNT,
            goes_with="sched",
        ),
    ] = 1.0
    model_ema_decay: Annotated[
        float,
        Field(
            "Model",
            "Decay of a moving average of the weights, which is evaluated and stored in their place (0: off).",
            ge=0,
            lt=1,
            off=0.0,
            old="ema",
        ),
    ] = 0.0
    hold_out: Annotated[
        float,
        Field(
            "Data",
            "Fraction of the training split held out for validation (0: none).",
            note="The weights of the best epoch on it are stored. Without it, the last epoch's are.",
            ge=0,
            lt=1,
            off=0.0,
        ),
    ] = 0.0
    patience: Annotated[
        int,
        Field(
            "Schedule",
            "Stop after this many epochs without a better one; requires --hold-out (0: off).",
            ge=0,
            lt=MAX_COUNT,
            requires="hold_out",
            off=0,
        ),
    ] = 0
    crop: Annotated[
        int | None,
        Field(
            "Augmentation",
            "Shift images at random by up to this many pixels: pad and crop (0: off).",
            ge=0,
            lt=MAX_SIDE,
            unset="an eighth of the image size",
        ),
    ] = None
    hflip: Annotated[
        bool | None, Field("Augmentation", "Flip images horizontally at random.", unset="set by the data set")
    ] = None
    aa: Annotated[
        str,
        Field(
            "Augmentation",
            "AutoAugment policy: trivial is TrivialAugment Wide.",
            choices=("", "trivial"),
            spellings={"none": ""},
            off="",
            old="trivial_augment",
            old_values={True: "trivial", False: ""},
        ),
    ] = ""
    reprob: Annotated[
        float,
        Field(
            "Augmentation",
            "Random erasing: probability that a rectangle of an image is erased (0: off).",
            ge=0,
            le=1,
            off=0.0,
            old="erase",
        ),
    ] = 0.0
    mixup: Annotated[
        float,
        Field(
            "Augmentation",
            "Mixup alpha (0: off).",
            note="With CutMix too, one of the two is chosen at random for each batch.",
            ge=0,
            le=100,
            off=0.0,
        ),
    ] = 0.0
    cutmix: Annotated[float, Field("Augmentation", "CutMix alpha (0: off).", ge=0, le=100, off=0.0)] = 0.0
    balance: Annotated[
        str,
        Field(
            "Data",
            "Balance classes: `weights` weights the training loss, `sampler` draws rare classes more often.",
            note="Weights are inversely proportional to the number of images of a class; reported losses are not "
            "weighted. The sampler draws with replacement and leaves the length of an epoch as it is.",
            choices=("none", "weights", "sampler"),
            off="none",
        ),
    ] = "none"
    exif_orientation: Annotated[
        bool | None,
        Field(
            "Data",
            "Turn photographs as their EXIF orientation says, in training and afterwards.",
            unset="on for folders of images, off for other data sets",
            off=False,
        ),
    ] = None
    skip_corrupt: Annotated[
        bool, Field("Data", "Skip images that cannot be read instead of stopping with an error.", off=False)
    ] = False
    amp: Annotated[
        bool | None,
        Field("Execution", "Automatic mixed precision (bfloat16 autocast).", unset="on for CUDA, off elsewhere"),
    ] = None
    torchcompile: Annotated[
        bool, Field("Execution", "Compile the model with torch.compile.", off=False, old="compile")
    ] = False
    seed: Annotated[
        int,
        Field(
            "Execution",
            "Random seed.",
            note="Of the initial weights, the hold-out, the order of images, augmentation and dropout.",
            ge=0,
            lt=2**63,
        ),
    ] = 0

    def __post_init__(self) -> None:
        for name, value in checked_values(self, FIELDS).items():
            object.__setattr__(self, name, value)
        for name in DERIVED_FIELDS:
            if getattr(self, name) is None:
                object.__setattr__(self, name, default_of(FIELDS[name], self))
        refuse_inconsistent(self, FIELDS)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with every default filled in; `zoo.training.recipe.file.to_recipe` reads it back."""
        return {"version": VERSION, **asdict(self), "decay_milestones": list(self.decay_milestones)}

    def command(self, *extra: str) -> str:
        """The `zoo train` command that gives this recipe, with the words `extra` at its end."""
        defaults = {name: default_of(declaration, self) for name, declaration in FIELDS.items()}
        return recipe_command(FIELDS, asdict(self), defaults, *extra)


FIELDS = declared(Recipe)
DERIVED_FIELDS = derived_fields(FIELDS)
SCHEDULE_FIELDS = schedule_fields(FIELDS)
