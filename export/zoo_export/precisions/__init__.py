"""The precisions that come with zoo, one file each; nothing outside this folder knows fp16 by name."""

from zoo.contract.precisions import Precision

PRECISIONS = (
    Precision(
        name="fp32",
        summary="float32 weights and arithmetic, judged by PyTorch's float32 rounding error",
        rules="zoo_export.precisions.fp32:FP32",
    ),
    Precision(
        name="fp16",
        summary="float16 weights and arithmetic, float32 images and logits, judged by PyTorch's float16 rounding error",
        rules="zoo_export.precisions.fp16:FP16",
    ),
)
