"""ATen's operators by what they do: draw random numbers, choose by values, or change what they are called with."""


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


RANDOM = _words(
    "bernoulli bernoulli_ cauchy_ exponential_ feature_dropout_ alpha_dropout_ feature_alpha_dropout",
    "feature_alpha_dropout_ geometric_ log_normal_ multinomial normal normal_ poisson binomial rand rand_like randint",
    "randint_like randn randn_like random random_ randperm rrelu_with_noise rrelu_with_noise_ uniform uniform_",
    "fractional_max_pool2d _fused_dropout _standard_gamma _sample_dirichlet",
)
WITH_MODE = {  # random, or statistics of the batch, unless the argument at this place is false
    **dict.fromkeys(_words("dropout dropout_ feature_dropout alpha_dropout native_dropout"), 2),
    **dict.fromkeys(_words("rrelu rrelu_"), 3),
    **dict.fromkeys(_words("batch_norm native_batch_norm cudnn_batch_norm _native_batch_norm_legit"), 5),
    "_batch_norm_impl_index": 5,
}
CONDITIONAL = _words(
    "where eq ne gt ge lt le equal allclose isclose isnan isinf isfinite sign topk argmax argmin sort argsort one_hot",
    "nonzero unique _unique2 masked_fill masked_fill_ masked_select masked_scatter index_put index_put_ scatter",
    "scatter_ gather take searchsorted heaviside ceil round trunc fmod remainder logical_and logical_or",
    "logical_not logical_xor bitwise_and bitwise_or bitwise_xor bitwise_not cond while_loop scan map_impl item",
    "bucketize _local_scalar_dense Bool Int Float ScalarImplicit is_nonzero any all size shape sym_size sym_ite",
    "threshold threshold_ hardshrink histc cumsum",
    "floor",
)
