"""Which operators of PyTorch cannot choose: what they compute depends continuously on the values that they receive.

An operator that is not known here counts as a choice where it receives what depends on the images. What it receives is
of one of three levels: the same for all images, decided by sizes alone, or decided by values.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo_export.formats.operators import listed

FIXED, SIZE, VALUE = 0, 1, 2
_ARITHMETIC = listed(
    "add sub subtract rsub mul multiply div divide true_divide neg negative reciprocal sqrt rsqrt square pow exp expm1 "
    "log log1p log2 log10 sin cos sinh cosh tanh sigmoid erf abs absolute addcmul addcdiv lerp logsumexp "
    "relu relu6 leaky_relu elu selu celu gelu silu mish hardtanh hardswish hardsigmoid softplus softsign softmax "
    "_softmax _safe_softmax log_softmax _log_softmax prelu _prelu_kernel log_sigmoid glu clamp clamp_min clamp_max "
    "clip maximum minimum amax amin mean sum var std var_mean std_mean prod norm linalg_vector_norm "
    "conv1d conv2d conv3d _convolution _convolution_mode convolution conv_transpose1d conv_transpose2d "
    "conv_transpose3d linear matmul mm bmm addmm _addmm_activation baddbmm addbmm addmv mv dot einsum bilinear "
    "batch_norm _native_batch_norm_legit_no_training _batch_norm_no_update layer_norm native_layer_norm group_norm "
    "native_group_norm instance_norm rms_norm _fused_rms_norm cosine_similarity "
    "scaled_dot_product_attention _scaled_dot_product_attention_math _scaled_dot_product_flash_attention_for_cpu "
    "_scaled_dot_product_flash_attention _scaled_dot_product_efficient_attention _native_multi_head_attention "
    "_transformer_encoder_layer_fwd _weight_norm _weight_norm_interface dropout feature_dropout alpha_dropout "
    "native_dropout copy"
)
_LAYOUT = listed(
    "view view_as reshape reshape_as flatten unflatten permute transpose t numpy_T movedim swapaxes contiguous clone "
    "detach alias expand expand_as unsqueeze cat concat stack split split_with_sizes chunk unbind unsafe_split "
    "unsafe_chunk tensor_split flip pad constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d "
    "replication_pad2d pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle repeat tile unfold fold "
    "im2col col2im append _unsafe_view _reshape_alias lift_fresh_copy zeros_like ones_like new_zeros new_ones new_full "
    "full_like zeros ones full max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
    "adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d upsample_nearest2d "
    "upsample_bilinear2d upsample_bicubic2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa"
)
# Their second result is a place. They are continuous where it is not used.
_WITH_PLACES = listed(
    "max min max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool1d "
    "adaptive_max_pool2d adaptive_max_pool3d"
)
_PLACES = listed(
    "slice select narrow squeeze index _unsafe_index index_select gather take take_along_dim embedding roll"
)
_CASTS = listed("to _to_copy type_as float half double")  # to a floating dtype; to others is a choice
_OF_ANOTHER = {"type_as": 1, "copy": 0}  # to the dtype of the argument at this place
_NORMS = listed("norm linalg_vector_norm")  # of order 0, they count
COMPUTED = object()  # an argument that is not constant
_SAME_VALUES = _CASTS | listed(
    "view view_as reshape reshape_as flatten unflatten permute transpose t numpy_T movedim swapaxes contiguous clone "
    "detach alias expand expand_as unsqueeze squeeze unsafe_split split split_with_sizes chunk unbind unsafe_chunk "
    "tensor_split pad constant_pad_nd slice select narrow _unsafe_view _reshape_alias ConstantChunk ListUnpack"
)
_SIZES = listed("size sym_size shape numel sym_numel len _shape_as_tensor")  # what depends on sizes alone
_OF_SIZES = listed(
    "add sub mul neg Int NumToTensor ScalarImplicit __getitem__ sym_sum pos list sym_constrain_range "
    "sym_constrain_range_for_size _assert_scalar _assert_tensor_metadata"
)
_RANK = listed("dim ndim is_floating_point is_complex dtype _assert_tensor_metadata")  # the same for all images


def level_of(name: str, levels: Sequence[int]) -> int:
    """The level of what an operator returns that receives values of these levels."""
    level = max(levels, default=FIXED)
    if name in _RANK or level == FIXED:
        return FIXED
    return SIZE if name in _SIZES else level


def passes_on(name: str) -> bool:
    """Whether an operator returns values of its first argument, so that what reads its result reads that argument."""
    return name in _SAME_VALUES


def reads(name: str) -> bool:
    """Whether an operator depends on the values of its arguments, and not on their sizes or dtypes alone."""
    return name not in _RANK | _SIZES


def rounds(name: str, arguments: Mapping[str, Any], floating: Sequence[int]) -> bool:
    """Whether an operator that is continuous else rounds or counts, by its arguments.

    Args:
        arguments: by name, those that are constants; `COMPUTED` for others.
        floating: the dtypes that are floating, as `arguments` has them.
    """
    dtype, rounding = arguments.get("dtype"), arguments.get("rounding_mode")
    if (dtype is not None and dtype not in floating) or rounding is not None:
        return True
    powers = [arguments[each] for each in ("p", "ord") if name in _NORMS and each in arguments]
    return any(each is not None and (not isinstance(each, int | float) or each == 0) for each in powers)


def chooses(name: str, levels: Sequence[int], *, rounding: bool = False, second: bool = False) -> bool:
    """Whether an operator may make the answer depend on its input in steps.

    Args:
        name: without namespace and overload.
        levels: of its arguments, in their order.
        rounding: it rounds or counts, see `rounds`.
        second: whether a result after the first is used; those of `max` and of pooling are places.
    """
    level = max(levels, default=FIXED)
    if level == FIXED or name in _RANK or name in _SIZES:
        return False
    if level == SIZE:
        return name not in _OF_SIZES | _LAYOUT
    plain = name.removesuffix("_") if not name.endswith("__") else name
    writes_elsewhere = (plain != name or name == "append") and levels[
        0
    ] != VALUE  # what is a view of that would not be known as computed
    if writes_elsewhere or (rounding and plain not in _LAYOUT):
        return True
    if plain in _OF_ANOTHER and len(levels) > 1 and levels[_OF_ANOTHER[plain]] != VALUE:  # which may be of integers
        return True
    if plain in _PLACES:  # at a fixed place of a tensor that is computed
        return levels[0] != VALUE or any(levels[1:])
    if plain in _WITH_PLACES:
        return second or SIZE in levels
    if plain in _ARITHMETIC:
        return SIZE in levels
    return plain not in _LAYOUT | _CASTS
