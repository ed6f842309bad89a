"""Which operators of PyTorch a graph from a file may call: those that compute tensors from tensors, by their schema.

`torch.ops` is no safe place: `aten::from_file` maps any file into memory, and together with `fill_` writes it;
`aten::save` writes one; `aten::_print` and `aten::warn` write to the terminal; `aten::set_` and `aten::resize_` expose
memory; other namespaces start profilers, processes and communication. So a graph may call what is of `aten` or
`prims`, takes and returns tensors and numbers only, and writes at most into the tensor that it is a method of.
"""

import re
from typing import Any

import torch


def listed(names: str) -> frozenset[str]:
    """The names in a text, separated by spaces."""
    return frozenset(names.split())


NAMESPACES = ("aten", "prims")
# Types of arguments and results, without `Optional` and `List`.
PLAIN = {"Tensor", "int", "bool", "float", "number", "complex", "ScalarType", "Layout", "Device", "MemoryFormat"}
# Arguments of the type `str` that choose among a few ways to compute. Others, such as `filename`, are not admitted.
CHOICES = listed(
    "approximate driver equation indexing interpolation mode norm ord padding padding_mode pad_mode padding_side "
    "reduce rounding_mode side UPLO p assert_msg"
)
# Return nothing: conditions on shapes, which torch.export writes into its graphs.
CONDITIONS = listed("_assert_scalar _assert_tensor_metadata sym_constrain_range sym_constrain_range_for_size")
# Names with an underscore in front are PyTorch's own affair, many without checks of their arguments. These are known.
INTERNAL = CONDITIONS | listed(
    "_adaptive_avg_pool2d _adaptive_avg_pool3d _addmm_activation _batch_norm_no_update _cdist_forward _conj "
    "_conj_physical _convolution _convolution_mode _euclidean_dist _fft_c2c _fft_c2r _fft_r2c _fused_rms_norm "
    "_infer_size _linalg_det _linalg_eigh _linalg_slogdet _linalg_svd _log_softmax "
    "_native_batch_norm_legit_no_training _native_multi_head_attention _neg_view _pad_circular _pad_enum "
    "_prelu_kernel _reshape_alias _safe_softmax "
    "_scaled_dot_product_attention_math _scaled_dot_product_efficient_attention _scaled_dot_product_flash_attention "
    "_scaled_dot_product_flash_attention_for_cpu _set_item _shape_as_tensor _softmax _stack _to_copy "
    "_transformer_encoder_layer_fwd _trilinear _unsafe_index _unsafe_view _unwrap_optional _upsample_bicubic2d_aa "
    "_upsample_bilinear2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d "
    "_weight_norm _weight_norm_interface"
)
# What may pass by its schema, and does more than compute: it changes what memory a tensor stands for, or whose it is.
OTHER_EFFECTS = listed(
    "as_strided_ batch_norm_gather_stats batch_norm_gather_stats_with_counts batch_norm_update_stats data from_file "
    "get_autocast_dtype is_pinned manual_seed pin_memory record_stream rename "
    "rename_ requires_grad_ resize resize_ resize_as resize_as_ resize_as_sparse resize_as_sparse_ retain_grad save "
    "set segment_reduce set_ set_data set_grad_enabled shallow_copy_data_"
)
SENSED = "it answers by where it runs, not by values"
# Answer by the process, the thread, the layout or autograd, not by values: right in zoo's process, wrong elsewhere.
SENSES = listed(
    "get_device has_torch_function is_autocast_cpu_enabled is_autocast_enabled is_contiguous is_grad_enabled "
    "is_inference is_leaf is_non_overlapping_and_dense is_set_to is_strides_like_format is_vulkan_available output_nr "
    "retains_grad storage_offset stride sym_is_contiguous sym_storage_offset sym_stride hash"
)
# Operators of other libraries and kinds of tensors, and gradients, which trust the indices that they receive.
OTHER_KINDS = re.compile("cudnn|fbgemm|miopen|mkldnn|mps|sparse|nested|backward|qparams|^q_|(?<!fake_)quantize")
UNINITIALISED = listed("empty empty_like empty_permuted empty_quantized empty_strided new_empty new_empty_strided")
# Return their argument itself in some cases, which their schema does not say.
MAY_ALIAS = listed(
    "dropout feature_dropout alpha_dropout feature_alpha_dropout meshgrid broadcast_tensors atleast_1d atleast_2d "
    "atleast_3d lift_fresh conj resolve_conj resolve_neg"
)
# The argument that decides whether an operator draws random numbers, the first one that it has.
SWITCHES = ("train", "training", "dropout_p", "dropout", "p")


def why_refused(schema: Any, more_kinds: tuple[str, ...] = (), more_names: frozenset[str] = frozenset()) -> str:
    """Why a graph from a file may not call an operator, as a clause; empty where it may.

    Args:
        schema: PyTorch's `FunctionSchema` of the operator.
        more_kinds: types of arguments and results to admit besides those of tensors and numbers; those that end in `[`
            are beginnings of types.
        more_names: operators to admit that return nothing.
    """
    namespace, _, name = schema.name.partition("::")
    if namespace not in NAMESPACES:
        return f"the namespace {namespace} is not admitted"
    if name in OTHER_EFFECTS or OTHER_KINDS.search(name):
        return "it does more than compute"
    if name in SENSES:
        return SENSED
    if name.startswith("_") and name not in INTERNAL and not (name.startswith("__") and name.endswith("__")):
        return "it is internal to PyTorch"
    for argument in schema.arguments:
        kind = _kind(argument)
        if kind == "str" and argument.name in CHOICES:
            continue
        if kind == "Generator" and "Optional" in str(argument.real_type):  # a graph cannot hold one
            continue
        if not _is_admitted(kind, more_kinds):
            return f"its argument {argument.name} is of the type {kind}"
        writes = argument.alias_info is not None and argument.alias_info.is_write
        if writes and (argument.kwarg_only or argument is not schema.arguments[0]):
            return f"it writes into its argument {argument.name}"
    if not schema.returns and name not in CONDITIONS | more_names:
        return "it returns nothing"
    for value in schema.returns:
        if not _is_admitted(_kind(value), more_kinds):
            return f"it returns a value of the type {_kind(value)}"
    return ""


def writes(schema: Any) -> bool:
    """Whether an operator writes into its first argument."""
    first = schema.arguments[0] if schema.arguments else None
    return first is not None and first.alias_info is not None and first.alias_info.is_write


def is_random(schema: Any) -> bool:
    """Whether an operator can draw random numbers; see `switch`."""
    name = schema.name.partition("::")[2]
    overload = getattr(getattr(torch.ops.aten, name, None), schema.overload_name or "default", None)
    return overload is not None and torch.Tag.nondeterministic_seeded in overload.tags


def switch(schema: Any) -> Any:
    """The argument of a random operator that turns the drawing off when it is zero or false; `None` where none does."""
    arguments = {argument.name: argument for argument in schema.arguments}
    name = next((name for name in SWITCHES if name in arguments), None)
    fills = schema.name.endswith(("bernoulli", "bernoulli_"))  # there `p` is what it draws with
    return None if name is None or fills else arguments[name]


def statistics(schema: Any) -> tuple[str, str] | None:
    """The arguments that hold running statistics, and that let them be changed, which no schema declares."""
    names = [argument.name for argument in schema.arguments]
    mode = next((name for name in ("training", "use_input_stats") if name in names), "")
    return ("running_mean", mode) if mode and "running_mean" in names else None


def is_uninitialised(schema: Any) -> bool:
    """Whether an operator returns memory as it is."""
    return schema.name.partition("::")[2] in UNINITIALISED


def _is_admitted(kind: str, more: tuple[str, ...]) -> bool:
    beginnings = tuple(each for each in more if each.endswith("["))
    return kind in PLAIN or kind in more or (bool(beginnings) and kind.startswith(beginnings))


def _kind(argument: Any) -> str:
    kind = str(argument.real_type)
    while kind.startswith(("Optional[", "List[")) and kind.endswith("]"):
        kind = kind.partition("[")[2][:-1]
    return kind
