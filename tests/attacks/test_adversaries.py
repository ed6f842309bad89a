"""Files made to pass and to be wrong are refused; files of harmless tools are not. The whole table: benchmarks/."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from adversary.folders import FOLDERS
from adversary.harmless import HARMLESS
from adversary.kinds import KINDS
from adversary.trial import FORGED, REFUSED, WARNED, Trial

SEED = 12
SHOWN_BY_IMAGES = [  # a sample of what `--against` refuses; the others are slow to try here
    "ignores_its_input",
    "knows_the_probes_by_a_digest",
    "wrong_from_batch_5",
    "wrong_on_odd_batches",
    "wrong_from_the_ninth_image_of_a_batch",
    "wrong_for_class_3",
    "wrong_for_one_image_in_100",
    "backdoor_of_a_white_border",
    "trojan_in_the_weights",
    "wrong_for_black_backgrounds",
    "wrong_from_batch_128",
    "wrong_from_batch_101_in_arithmetic",
    "wrong_below_5_percent_of_brightness",
    "wrong_on_the_fifth_call",
]
REFUSED_UNSEEN = {  # before anything is run, and what the refusal names
    "wrong_at_random_1_percent": "RandomUniformLike",
    "draws_from_bernoulli": "Bernoulli",
    "dropout_in_training_mode": "training mode",
    "scripted_wrong_at_random": "rand",
    "scripted_dropout_in_training_mode": "aten::dropout",
    "claims_reversed_labels": "class 0",
    "claims_another_mean": "mean",
    "claims_labels_twice": "zoo.labels",
    "has_a_second_output": "2 outputs",
    "takes_float64": "float64",
    "backdoor_behind_an_overload": "own.F",
    "initializer_defined_twice": "twice",
    "preprocessing_keys_twice": "zoo.preprocess",
    "claims_labels_under_another_key": "Zoo.labels",
    "senses_inference_mode": "aten::is_inference",
    "senses_gradients": "aten::is_grad_enabled",
    "program_that_senses_inference_mode": "torch.ops.aten.is_inference.default",
    "counts_images_in_running_statistics": "aten::instance_norm",
}
CONDITIONAL = {  # no image brings it out, but zoo's own export has no such operator
    "backdoor_of_a_patch": "Where",
    "backdoor_of_a_patch_in_arithmetic": "reader of the input",
    "branch_with_if": "If",
    "scripted_branch_on_a_patch": "branch",
    "scripted_choice_in_methods": "where",
    "chooses_from_a_table": "reader of the input",
    "chooses_by_a_tree": "reader of the input",
}
BEYOND = ["backdoor_of_a_hidden_pattern_in_arithmetic", "backdoor_of_a_further_unit"]  # what strict only warns of
OF_FOLDERS = {  # what the refusal names
    "folder_lists_a_module_of_python": "numpy.py",
    "folder_lists_an_artifact_that_is_not_checked": "model.pt2",
    "folder_has_a_card_that_lies": "Public domain",
    "folder_has_the_card_of_another_model": "resnet50",
    "folder_has_another_readme": "README.md",
    "folder_has_another_runtime": "zoo_runtime.py",
    "folder_states_large_rounding_errors": "rounding error",
    "folder_ignores_its_input_beside_its_own_manifest": "does not compute",
}
ALTERED = ["optimised_by_onnxruntime", "optimised_for_this_machine", "of_a_later_opset", "of_the_older_exporter"]


@pytest.fixture(scope="module")
def trial(registry) -> Trial:
    """`lenet5.digits` and an export of it."""
    return Trial(registry, SEED)


def test_there_are_thirty_kinds_at_least() -> None:
    assert len(FORGED) >= 30


@pytest.mark.parametrize("name", SHOWN_BY_IMAGES)
def test_fresh_images_and_batches_show_it(trial: Trial, tmp_path: Path, name: str) -> None:
    verdict, why = trial.verify(trial.file(name, tmp_path), strict=False)
    assert verdict == REFUSED, why


@pytest.mark.parametrize("name", REFUSED_UNSEEN)
def test_random_operators_and_false_claims_are_named(trial: Trial, tmp_path: Path, name: str) -> None:
    verdict, why = trial.verify(trial.file(name, tmp_path), strict=False)
    assert verdict == REFUSED and REFUSED_UNSEEN[name] in why


@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_choice_that_the_model_does_not_make_is_named(trial: Trial, tmp_path: Path, name: str) -> None:
    path = trial.file(name, tmp_path)
    verdict, why = trial.verify(path, strict=False)
    assert verdict == WARNED and CONDITIONAL[name] in why
    verdict, why = trial.verify(path, strict=True)
    assert verdict == REFUSED and CONDITIONAL[name] in why


@pytest.mark.parametrize("name", BEYOND)
def test_strict_says_that_a_graph_is_not_its_own(trial: Trial, tmp_path: Path, name: str) -> None:
    verdict, why = trial.verify(trial.file(name, tmp_path), strict=True)
    assert verdict == WARNED and "its graph differs" in why
    assert KINDS[name].trigger


@pytest.mark.parametrize("name", OF_FOLDERS)
def test_a_folder_that_does_not_say_what_it_holds(trial: Trial, tmp_path: Path, name: str) -> None:
    verdict, why = trial.verify(trial.file(name, tmp_path), strict=True)
    assert verdict == REFUSED and OF_FOLDERS[name] in why


def test_every_kind_of_folder_is_tried() -> None:
    assert {*OF_FOLDERS} == {*FOLDERS}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_file_is_accepted(trial: Trial, tmp_path: Path, name: str) -> None:
    verdict, why = trial.verify(trial.file(name, tmp_path), strict=name in ALTERED)
    assert verdict != REFUSED, why


@pytest.mark.slow
@pytest.mark.parametrize("name", FORGED)
def test_only_secret_triggers_pass(trial: Trial, name: str) -> None:
    result = trial.run(name)
    assert result.strict == REFUSED or (result.strict == WARNED and result.trigger), result
    assert result.against == REFUSED or result.trigger, result
