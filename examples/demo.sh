#!/bin/sh
# The whole line in one folder: train, store, export, verify, predict.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
rm -rf "$here/demo" && mkdir "$here/demo" && cd "$here/demo"

say() {
    echo "\$ $*"
    "$@"
}

say zoo train lenet5 --data digits --epochs 6 --batch-size 32 --lr 0.003 --tag demo
say zoo export lenet5.demo
say zoo verify exports/lenet5.demo
say zoo predict exports/lenet5.demo ../examples/seven.png --top 3
echo "Everything above is in $(basename "$PWD")/: weights, runs, exports."
