//! What every store must do, run for every backend; and what only a store in a file must do.
//!
//! A case that is not listed here is dead code, which the lints refuse.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod books;
#[cfg(test)]
mod claim;
#[cfg(test)]
mod complete;
#[cfg(test)]
mod control;
#[cfg(test)]
mod conversations;
#[cfg(test)]
mod failure;
#[cfg(test)]
mod file;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod item_logs;
#[cfg(test)]
mod items;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod read;
#[cfg(test)]
mod redefine;
#[cfg(test)]
mod submit;
#[cfg(test)]
mod workers;

/// Makes one test for each case and backend, such as `sqlite::claim::urgent_tasks_come_first`.
#[cfg(test)]
macro_rules! conformance {
    ([$($backend:ident: $open:path),*] $cases:tt) => { $(conformance!(@backend $backend, $open, $cases);)* };
    (@backend $backend:ident, $open:path, { $($area:ident { $($case:ident,)* })* }) => {
        mod $backend {
            $(mod $area {
                $(#[tokio::test]
                async fn $case() {
                    let opened = $open();
                    crate::$area::$case(opened.store.clone()).await;
                })*
            })*
        }
    };
}

#[cfg(test)]
conformance! {
    [memory: crate::fixture::memory, sqlite: crate::fixture::sqlite, sled: crate::fixture::sled]
    {
        submit {
            tasks_without_dependencies_are_ready_at_once,
            an_id_that_is_taken_is_refused,
            a_run_without_tasks_is_refused,
            a_dependency_that_is_not_there_is_refused,
            tasks_that_wait_for_each_other_are_refused,
            two_tasks_of_one_name_are_refused,
            a_dependency_named_twice_counts_once,
            what_was_submitted_is_given_back,
            names_and_values_of_any_script_are_kept,
            of_many_submissions_of_one_id_one_is_accepted,
        }
        claim {
            urgent_tasks_come_first_then_the_order_of_readiness,
            no_more_than_the_limit_are_given,
            only_the_queues_asked_are_taken_from,
            only_the_run_asked_is_taken_from,
            a_delayed_task_is_not_given_before_its_time,
            a_claimed_task_is_not_given_twice,
            a_claim_shows_the_task_as_it_stands,
            runs_that_start_nothing_new_are_passed_over,
        }
        leases {
            a_lease_that_is_over_is_taken_back,
            a_renewed_lease_is_not_taken_back,
            a_stale_token_is_refused_everywhere,
            a_token_of_an_unknown_run_is_refused,
            the_third_crash_fails_the_task,
            a_task_that_crashed_twice_may_still_end_well,
            renewals_are_answered_in_the_order_asked,
            the_next_due_time_is_the_end_of_the_earliest_lease,
            advancing_an_idle_store_does_nothing,
            a_released_attempt_does_not_count,
            a_lease_that_is_over_but_not_taken_back_may_complete,
            each_attempt_has_a_token_of_its_own,
        }
        complete {
            a_result_is_kept_and_the_dependents_become_ready,
            repeating_a_completion_changes_nothing,
            the_last_of_a_diamond_starts_once,
            a_task_waits_for_all_of_a_hundred,
            a_thousand_dependents_become_ready_at_once,
            a_skipped_task_tells_why_and_its_dependents_go_on,
            a_run_is_completed_when_its_last_task_ended,
            a_result_of_five_megabytes_is_kept,
            nothing_and_null_are_told_apart_in_results,
        }
        failure {
            by_default_nothing_new_starts_and_what_runs_may_finish,
            dependents_are_skipped_and_the_rest_runs_where_asked,
            dependents_run_in_spite_of_a_failure_where_asked,
            every_policy_ends_the_run_as_its_author_said,
            a_temporary_failure_is_tried_again_until_it_ends_well,
            the_time_that_the_other_side_named_is_waited_for,
            a_hopeless_failure_is_not_tried_again,
            attempts_that_are_used_up_fail_the_task,
            a_task_below_two_failures_is_skipped_once,
            a_retry_in_a_failing_run_waits_for_a_resume,
        }
        items {
            without_items_the_task_is_joined_at_once,
            one_item_runs_before_the_join,
            items_stand_in_their_order_and_know_their_task,
            dependencies_of_items_are_ignored,
            by_default_the_first_failed_item_fails_the_task,
            failed_items_are_left_to_the_join_where_asked,
            all_items_run_before_the_task_fails_where_asked,
            the_failure_of_a_nested_item_names_its_way,
            an_item_is_tried_again_by_its_own_policy,
            the_join_is_tried_again_by_its_own_attempts,
            items_are_made_once,
            a_skipped_item_counts_as_ended,
            an_item_whose_worker_died_runs_again,
        }
        item_logs {
            entries_of_an_item_are_given_in_the_order_written,
            the_names_of_items_are_given_in_pages,
            entries_take_the_place_of_others_where_asked,
            an_item_is_written_only_by_who_holds_its_run,
            items_stay_when_their_run_is_defined_anew,
            a_thousand_items_written_at_once_are_all_kept,
        }
        control {
            cancelling_an_idle_run_ends_it,
            what_runs_learns_of_the_cancellation_and_ends_the_run,
            only_a_run_that_goes_on_can_be_cancelled,
            resuming_runs_what_failed_and_keeps_what_is_done,
            resuming_runs_what_a_failure_skipped,
            resuming_keeps_what_its_own_condition_skipped,
            resuming_keeps_failures_that_were_allowed,
            resuming_runs_only_the_items_that_failed,
            resuming_runs_the_items_that_failed_their_task,
            resuming_starts_tasks_that_were_ready_when_cancelled,
            resuming_while_tasks_still_run_lets_them_count,
            resuming_forgives_attempts_and_crashes,
            a_completed_run_cannot_be_resumed,
            a_running_run_is_resumed_without_effect,
            an_unknown_run_cannot_be_controlled,
        }
        redefine {
            unchanged_tasks_keep_their_results_and_all_others_run,
            the_journal_of_a_changed_task_is_history_only,
            tasks_in_hand_forbid_it,
            a_refused_definition_changes_nothing,
            items_stay_with_their_task,
            a_token_of_a_removed_task_is_stale,
            an_unchanged_task_that_failed_runs_again,
            a_name_that_is_no_longer_defined_is_not_kept,
        }
        journal {
            entries_are_numbered_without_gaps_over_all_tasks,
            a_wrong_expectation_appends_nothing,
            entries_of_many_tasks_at_once_leave_no_gap,
            entries_are_given_from_a_place_on_and_up_to_a_limit,
            the_next_attempt_finds_the_entries_of_the_last,
            answers_that_a_model_got_wrong_are_not_replayed,
            every_kind_of_entry_is_given_back,
            a_run_log_over_the_store_resumes,
            an_empty_append_checks_the_token_only,
            a_record_of_a_megabyte_is_kept,
        }
        read {
            results_stand_in_the_order_asked,
            what_an_unknown_run_gives,
            the_newest_runs_come_first,
            runs_are_filtered_by_state_and_name,
            a_change_wakes_those_who_wait,
            a_change_that_was_not_seen_is_told_at_once,
            waiting_ends_without_a_change,
            numbers_are_given_back_exactly,
        }
        answers {
            what_was_kept_is_given_back_until_its_time_is_over,
            the_oldest_are_removed_when_there_are_too_many_bytes,
            a_newer_answer_takes_the_place_only_where_that_is_asked,
            an_answer_larger_than_all_that_may_be_kept_is_not_kept,
            one_of_many_is_given_the_duty_to_ask,
            a_lease_that_is_over_goes_to_the_next,
            a_lease_is_given_back_by_its_holder_only,
            pruning_removes_what_is_over_its_time_and_clearing_everything,
            thousands_of_keys_are_looked_up_at_once,
        }
        books {
            what_is_reserved_is_settled_by_what_was_spent,
            a_refusal_reserves_nothing_in_any_book,
            settling_twice_changes_nothing,
            what_nobody_settles_counts_in_whole_until_it_is_known,
            many_at_once_never_reserve_more_than_there_is,
        }
        questions {
            a_task_that_asks_waits_and_goes_on_when_all_is_answered,
            a_run_waits_only_when_nothing_else_can_be_done,
            a_decision_is_made_once,
            an_answer_counts_for_the_question_it_was_given_to,
            a_waiting_run_is_cancelled_and_resumed_as_it_waited,
            an_item_that_asks_holds_up_its_task,
            a_decision_in_a_run_that_stopped_counts_when_it_is_resumed,
            questions_go_with_a_task_that_is_defined_anew,
            what_asks_nothing_is_refused,
            of_many_decisions_at_once_one_counts,
            what_was_given_up_keeps_its_journal,
        }
        conversations {
            what_was_kept_of_a_conversation_is_given_back,
            an_id_can_be_taken_once,
            a_turn_is_added_to_the_version_expected_and_only_to_that,
            of_many_who_add_at_once_one_wins,
            what_follows_a_message_is_taken_back_and_replaced_at_once,
            a_cut_through_a_tool_round_is_refused_and_changes_nothing,
            a_fork_holds_the_beginning_and_goes_its_own_way,
            the_one_changed_last_stands_first_in_the_list,
            a_new_title_leaves_the_version,
            what_is_deleted_is_gone_with_its_messages,
            an_unknown_conversation_is_not_found,
            five_hundred_turns_are_added_one_by_one,
        }
        workers {
            many_workers_run_every_task_once_and_in_order,
            workers_that_die_cost_attempts_but_no_task,
            many_runs_at_once_all_complete,
        }
    }
}
