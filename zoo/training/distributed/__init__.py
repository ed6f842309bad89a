"""Several processes that train one model: process group, data parallelism, evaluation."""
