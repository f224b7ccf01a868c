"""Every row of the page on differences from aihwkit is proved by tests, and those are written here once."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from conformance.cases import load

ROOT = Path(__file__).parents[1]
PAGE = ROOT.joinpath("docs/differences.md").read_text(encoding="utf-8")
WITHOUT_TESTS = "What changes in a script"
"""The section that says how to move a script, not what is decided."""

PROOFS: dict[str, list[str]] = {
    # Devices and pulses
    "resolutions given as a number of steps": [
        "engine/test_counts.py::test_a_resolution_above_1_is_a_number_of_steps",
        "engine/test_trains.py::test_a_resolution_above_1_is_a_number_of_steps",
    ],
    "negative learning rate": [
        "engine/test_plan.py::test_a_negative_or_endless_learning_rate_is_rejected_before_it_is_kept",
    ],
    "`MEAN_FIELD`": ["engine/test_mean_field.py::test_pulses_come_to_it_as_they_become_finer"],
    "`NONE_WITH_DEVICE` with write noise": [
        "devices/test_operations.py::test_the_exact_update_goes_to_the_hidden_weight_and_is_seen_through_write_noise",
    ],
    "persistent weights": [
        "devices/test_decisions.py::test_write_noise_of_a_loaded_tile_does_not_become_its_memory",
        "test_tile.py::test_hidden_parameters_are_restored_exactly",
    ],
    "setting hidden parameters": [
        "devices/test_decisions.py::test_the_steps_of_cells_do_not_change_how_pulses_are_counted",
        "test_tile.py::test_getting_and_setting_hidden_parameters_changes_nothing",
    ],
    "`SoftBoundsPmaxDevice`": [
        "devices/test_laws.py::test_p_max_pulses_lead_from_one_end_of_the_range_to_the_other_and_back",
        "devices/test_decisions.py::test_a_measured_curve_has_equal_steps_at_0_if_its_range_is_symmetric",
    ],
    "`up_down`, `pow_up_down`": [
        "devices/test_sampling.py::test_cells_are_sampled_as_worked_by_hand",
        "devices/test_sampling.py::test_exponents_are_sampled_as_worked_by_hand",
    ],
    "devices with a reference": [
        "devices/test_operations.py::test_weights_are_bounded_as_seen_from_the_reference",
        "devices/test_operations.py::test_pulses_at_the_bounds_stay_numbers",
        "devices/test_operations.py::test_reset_and_decay_lead_to_0_and_the_bias_as_seen_from_the_reference",
    ],
    "symmetric point of `PowStepReferenceDevice`": [
        "devices/test_sampling.py::test_the_symmetry_point_of_a_cell_is_added_to_its_reference",
    ],
    "granularity of `ExpStepDevice`": [
        "devices/test_laws.py::test_the_mean_pulse_of_an_exponential_device_is_the_mean_of_both_directions",
        "devices/test_decisions.py::test_measured_exponential_devices_are_counted_in_mean_steps_of_both_directions",
    ],
    "stuck cells": [
        "devices/test_sampling.py::test_stuck_cells_lie_in_their_range_and_never_move",
        "devices/test_sampling.py::test_as_many_cells_are_stuck_as_asked_for",
    ],
    "`lifetime` up to 1": [
        "devices/test_operations.py::test_a_lifetime_of_up_to_one_step_loses_everything_in_one_step",
    ],
    "saturation with `fixed_bl=False`": [
        "engine/test_counts.py::test_trains_that_are_not_fixed_saturate_at_their_own_length",
        "engine/test_plan.py::test_mean_pulses_of_the_worked_example",
    ],
    "huge gradients": ["engine/test_plan.py::test_a_huge_finite_gradient_saturates"],
    "NaN or infinite inputs and gradients": [
        "test_bad_weather.py::test_the_layer_that_meets_a_bad_input_is_named",
        "test_bad_weather.py::test_the_layer_that_meets_a_bad_gradient_is_named_and_nothing_is_learned",
    ],
    "`perfect_bias`": ["test_analog_bias.py::test_a_perfect_bias_needs_a_bias"],
    "redraw of write noise": [
        "devices/test_operations.py::test_operations_redraw_all_write_noise_and_none_of_it_accumulates",
    ],
    "trains longer than 31 slots": [
        "engine/test_trains.py::test_long_trains_continue_in_fresh_random_numbers",
        "engine/test_trains.py::test_a_train_has_as_many_slots_as_its_length",
    ],
    "`STOCHASTIC`": ["engine/test_counts.py::test_both_stochastic_types_give_the_same_pulses"],
    # Learning rules
    "visible weight with choppers": [
        "algorithms/test_acceptance.py::test_the_visible_weight_dechops_every_element_by_its_own_row_and_column",
        "algorithms/test_invariants.py::test_the_visible_weight_is_right_after_every_operation",
    ],
    "samples after the last transfer of a batch": [
        "algorithms/test_acceptance.py::test_a_batch_longer_than_the_period_is_applied_and_counted_to_its_end",
        "algorithms/test_invariants.py::test_a_batch_may_be_cut_anywhere_without_changing_a_bit",
    ],
    "granularity of a transfer compound": [
        "algorithms/test_acceptance.py"
        "::test_gradients_are_counted_in_steps_of_the_fast_array_however_coarse_the_slow_one_is",
    ],
    "default periods along a chain": [
        "algorithms/test_rules.py::test_periods_along_a_chain_grow_by_slices_over_reads",
    ],
    "saving and restoring": [
        "algorithms/test_invariants.py::test_what_was_saved_goes_on_as_if_it_had_never_stopped",
        "algorithms/test_invariants.py::test_a_loaded_state_holds_nothing_that_follows_from_the_configuration",
    ],
    "automatic `transfer_every`": [
        "algorithms/test_acceptance.py::test_an_automatic_period_lets_a_cell_cross_its_states_in_a_sweep",
        "algorithms/test_rules.py::test_without_no_self_transfer_the_last_pointer_moves_and_nothing_else_happens",
    ],
    "reset with several reads": [
        "algorithms/test_acceptance.py::test_three_reads_with_reset_move_three_columns_and_clear_each_after_its_own_read",
    ],
    "chopper flips in TTv4": [
        "algorithms/test_acceptance.py::test_random_choppers_flip_at_their_own_rate_only",
        "algorithms/test_acceptance.py::test_regular_choppers_with_probability_zero_never_flip",
    ],
    "`out_chop_prob` in TTv4": ["algorithms/test_acceptance.py::test_random_choppers_flip_at_their_own_rate_only"],
    "fully hidden A": ["algorithms/test_rules.py::test_every_array_is_seen_with_its_own_gamma"],
    "processor and GPU differ in aihwkit": [
        "algorithms/test_invariants.py::test_every_rule_does_vector_by_vector_what_its_recursion_says",
        "algorithms/test_invariants.py::test_both_implementations_agree",
    ],
    "`NONE_WITH_DEVICE` on compounds": [
        "algorithms/test_rules.py::test_an_exact_gradient_with_a_device_goes_to_the_fast_array",
    ],
    "`set_weights`": ["algorithms/test_invariants.py::test_what_is_set_is_what_is_shown_and_the_rule_starts_anew"],
    "warm-up of TTv4": [
        "algorithms/test_rules.py::test_agad_writes_only_after_the_sweep_that_follows_its_first_phase",
        "algorithms/test_rules.py::test_steps_of_agad_leave_its_buffer_during_the_warm_up",
    ],
    "learning rate 0": ["algorithms/test_invariants.py::test_a_learning_rate_of_zero_moves_nothing"],
    "`d_sparsity`": [
        "engine/test_counts.py::test_the_share_of_zeros_in_the_gradient_is_averaged_if_asked_for",
        "engine/test_counts.py::test_a_vector_of_zeros_is_all_zeros",
    ],
    "`auto_granularity`": [
        "algorithms/test_rules.py::test_automatic_granularity_compares_its_number_of_vectors_with_a_sweep",
    ],
    "unsupported or ill-formed settings": [
        "algorithms/test_rules.py::test_settings_that_do_not_fit_together_are_refused_by_name",
        "algorithms/test_rules.py::test_every_device_of_a_chain_is_the_one_that_was_given",
    ],
    "γ in the rate of the transfer (TTv2, 3 and 4)": [  # noqa: RUF001
        "algorithms/test_acceptance.py::test_the_ratio_of_the_gammas_scales_the_transfer",
        "algorithms/test_rules.py::test_only_buffered_rules_scale_the_transfer_by_the_ratio_of_the_gammas",
    ],
    "a chopper flips while γ is not 0": [  # noqa: RUF001
        "algorithms/test_acceptance.py::test_a_chopper_that_flips_turns_the_contribution_of_its_slice_at_once",
    ],
    # Mixed precision
    "when a transfer happens": [
        "algorithms/test_mixed_precision.py::test_a_transfer_happens_at_the_end_of_the_batch_that_completes_a_period",
    ],
    "bins for only one of x and d": [
        "algorithms/test_mixed_precision.py::test_the_sum_is_the_gradient_within_the_error_of_the_bins",
    ],
    "a single bin": ["algorithms/test_mixed_precision.py::test_what_does_not_fit_together_is_refused_when_used"],
    "the digital matrix": [
        "algorithms/test_mixed_precision.py::test_the_sum_survives_and_training_goes_on_as_if_it_had_never_stopped",
        "algorithms/test_mixed_precision.py"
        "::test_the_sum_is_set_as_it_is_given_and_its_steps_are_made_at_the_next_transfer",
    ],
    "`random_row` with all rows": [
        "algorithms/test_mixed_precision.py::test_a_transfer_of_all_rows_has_no_random_start",
    ],
    "a row that asks for more pulses than `desired_bl`": [
        "algorithms/test_mixed_precision.py::test_pulses_that_do_not_fit_into_a_train_are_lost",
    ],
    "sparsity": ["algorithms/test_mixed_precision.py::test_the_share_of_zeros_is_not_measured"],
    # Presets
    "`build_config` and presets of one rule": [
        "presets/test_presets.py::test_a_name_has_one_definition_in_build_config_and_in_presets",
    ],
    "`up_parameters` of `build_config`": [
        "presets/test_presets.py::test_build_config_copies_what_it_is_given",
        "presets/test_presets.py::test_build_config_knows_every_name_of_a_rule",
        "presets/test_presets.py::test_transfers_of_buffered_rules_write_single_pulses_unless_told_otherwise",
    ],
    "`build_config`": ["presets/test_presets.py::test_several_devices_may_share_a_weight_under_sgd_only"],
    "a preset such as `TTv2EcRamPreset`": [
        "presets/test_presets.py::test_a_preset_gives_a_new_configuration_every_time",
        "presets/test_presets.py::test_a_measured_device_can_be_changed_copied_and_pickled",
    ],
    # Cells of several devices
    "setting weights": [
        "cells/test_vector.py::test_what_is_set_is_what_is_got",
        "cells/test_vector.py::test_a_reference_cell_shows_the_difference_to_its_reference",
    ],
    "sequential policy": [
        "cells/test_vector.py::test_under_the_policy_sequential_the_devices_take_turns_beginning_with_the_first",
    ],
    "`copy_inverted`": ["cells/test_one_sided.py::test_the_inverted_half_is_the_mirror_image_of_the_other"],
    "devices inside cells and compounds": [
        "cells/test_one_sided.py::test_the_refresh_of_a_fast_array_leaves_the_slow_array_alone",
    ],
    "reads of a refresh": ["cells/test_one_sided.py::test_a_refresh_reads_all_columns_before_it_writes_any"],
    "devices that do not fit": [
        "cells/test_one_sided.py::test_a_cell_that_does_not_fit_together_is_refused",
        "cells/test_vector.py::test_a_reference_cell_takes_no_third_device",
    ],
    "`set_hidden_update_index`": ["cells/test_vector.py::test_a_device_that_does_not_exist_cannot_be_chosen"],
    # Layers, periphery and optimizer
    "optimizer made before `load_state_dict`": [
        "test_optim.py::test_an_optimizer_made_before_or_after_loading_goes_on_as_if_nothing_had_happened",
    ],
    "a PyTorch optimizer with analog weights": [
        "test_optim.py::test_a_torch_optimizer_refuses_analog_weights_when_it_steps",
    ],
    "bound management, `bm_test_negative_bound`": [
        "engine/test_mvm.py::test_a_positive_clip_repeats_and_a_negative_one_only_if_tested",
    ],
    "outputs that the converter clips": [
        "nn/test_linear.py::test_no_gradient_comes_back_from_an_output_that_was_clipped",
        "nn/test_linear.py::test_an_output_that_bound_management_saved_gives_its_gradient",
        "nn/test_linear.py::test_a_perfect_product_clips_nothing",
        "nn/test_linear.py::test_the_weights_learn_from_the_whole_gradient",
    ],
    "worst-case bound management": [
        "engine/test_mvm.py::test_the_second_try_of_the_worst_case_takes_the_scale_that_should_suffice",
        "engine/test_mvm.py::test_the_worst_case_suits_every_noise_management",
    ],
    "voltage offsets": ["engine/test_periphery.py::test_what_is_drawn_has_its_distribution"],
    "infinite bounds of a converter": ["engine/test_mvm.py::test_a_range_without_end_neither_clips_nor_quantises"],
    "drawn values of the periphery": [
        "engine/test_periphery.py::test_only_what_the_settings_need_is_drawn",
        "engine/test_periphery.py::test_they_follow_the_seed_of_the_tile",
        "algorithms/test_reads.py::test_a_construction_seed_fixes_the_circuits_of_the_reads",
    ],
    "strengths of the periphery": [
        "engine/test_periphery.py::test_no_strength_is_negative",
        "engine/test_mvm.py::test_settings_that_do_not_fit_together_are_named",
    ],
    "`SHIFT`, `SPLIT_MODE`, `BIT_WISE`": ["test_configs.py::test_what_nothing_could_do_has_no_name"],
    "gradients of analog weights": [
        "test_optim.py::test_zero_grad_drops_what_was_kept",
        "test_optim.py::test_zero_grad_of_the_model_reaches_digital_gradients_only",
        "test_optim.py::test_momentum_and_weight_decay_do_not_act_on_analog_weights",
        "test_torch_citizenship.py::test_maximising_is_refused",
        "test_torch_citizenship.py::test_a_gradient_scaler_is_refused",
    ],
    "eval mode": [
        "nn/test_linear.py::test_evaluation_keeps_the_noise_of_the_periphery",
        "test_tile.py::test_noise_of_a_product_is_fresh_for_every_call_and_repeatable",
    ],
}
"""Subject of a row to the tests, in files under ``tests/``, that fail if what the row says is not so."""


def subjects() -> list[str]:
    """The first column of every table of the page."""
    found = []
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE):
        if not section.startswith(WITHOUT_TESTS):
            found += re.findall(r"^\| (.+?) \|", section, flags=re.MULTILINE)
    return [subject for subject in found if subject not in ("---", "subject")]


@cache
def functions_of(file: str) -> set[str]:
    """The functions of a file of tests."""
    tree = ast.parse(ROOT.joinpath("tests", file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_difference_has_a_proof_and_every_proof_a_difference() -> None:
    on_page = subjects()
    assert len(on_page) > 60
    assert sorted(on_page) == sorted(PROOFS)  # each once


def test_every_proof_is_a_test() -> None:
    assert all(PROOFS.values())
    named = [name.split("::") for names in PROOFS.values() for name in names]
    assert [f"{file}::{name}" for file, name in named if name not in functions_of(file)] == []
    assert all(name.startswith("test_") for _, name in named)


def test_the_page_knows_how_many_cases_are_recorded() -> None:
    kinds = ("trace", "statistics", "dtod", "mvm", "mvm_statistics")
    assert f"all of the {sum(len(list(load(kind))) for kind in kinds)} recorded cases" in PAGE
