"""ATen's operators by what they do: draw random numbers, or compute as in training."""


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
