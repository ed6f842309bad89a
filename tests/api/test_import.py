"""`import zoo` is light, and offers the API when it is used."""

import subprocess
import sys

import zoo

FUNCTIONS = {"create_model", "evaluate", "export", "list_models", "load", "train", "verify"}


def python(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_zoo_loads_nothing_heavy() -> None:
    python("import zoo, sys; assert not {'torch', 'numpy', 'onnx', 'onnxruntime', 'PIL', 'rich'} & set(sys.modules)")


def test_listing_models_loads_no_torch() -> None:
    python(
        "import zoo, sys; zoo.list_models('lenet*'); zoo.list_models(pretrained=True)\n"
        "assert not {'torch', 'numpy', 'onnx'} & set(sys.modules)"
    )


def test_dir_lists_the_functions() -> None:
    assert set(dir(zoo)) >= FUNCTIONS
    assert set(zoo.__all__) >= FUNCTIONS


def test_every_public_name_resolves() -> None:
    for name in zoo.__all__:
        assert getattr(zoo, name) is not None
    for name in FUNCTIONS:
        assert "Example:" in getattr(zoo, name).__doc__


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    assert not hasattr(zoo, "no_such_name")


def test_users_of_mypy_see_the_types() -> None:
    from mypy import api

    code = (
        "import zoo\n"
        "reveal_type(zoo.list_models('a*'))\n"
        "reveal_type(zoo.load('a.b').predict('x.png'))\n"
        "reveal_type(zoo.load('a.b').predict(['x.png']))\n"
        "reveal_type(zoo.train('a', data='b', epochs=1).metrics)\n"
        "zoo.train('a', data='b', epoch=1)\n"
    )
    out, _, _ = api.run(["--strict", "-c", code])
    assert '"builtins.list[builtins.str]"' in out or '"list[str]"' in out
    assert "list[zoo.contract.prediction.Prediction]" in out
    assert "list[zoo.contract.prediction.Prediction]]" in out
    assert 'Unexpected keyword argument "epoch"' in out
