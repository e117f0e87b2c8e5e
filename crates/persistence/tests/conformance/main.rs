//! What every store must do, run for every backend; and what only a store in a file must do.
//!
//! A case that is not listed here is dead code, which the lints refuse.

#[cfg(test)]
mod admin;
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
mod copies;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod events;
#[cfg(test)]
mod failure;
#[cfg(test)]
mod file;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod golden_sled;
#[cfg(test)]
mod halts;
#[cfg(test)]
mod item_logs;
#[cfg(test)]
mod items;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod model;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod read;
#[cfg(test)]
mod redefine;
#[cfg(test)]
mod redis_server;
#[cfg(test)]
mod server;
#[cfg(test)]
mod submit;
#[cfg(test)]
mod timers;
#[cfg(test)]
mod trees;
#[cfg(test)]
mod wire;
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
                    // A store whose server is not installed is reported as skipped.
                    let Some(opened) = Option::<crate::fixture::Opened>::from($open()) else { return };
                    crate::$area::$case(opened.store.clone()).await;
                })*
            })*
        }
    };
}

#[cfg(test)]
conformance! {
    [
        memory: crate::fixture::memory, sqlite: crate::fixture::sqlite, sled: crate::fixture::sled,
        redis: crate::fixture::redis, remote: crate::wire::memory
    ]
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
            a_task_that_crashed_twice_is_given_alone,
            who_has_work_in_hand_is_given_none_that_is_run_alone,
            after_others_in_a_claim_none_is_given_that_is_run_alone,
            a_task_that_is_run_alone_keeps_to_its_limits_and_its_queue,
            a_resumed_task_is_no_longer_run_alone,
            what_kills_its_workers_is_given_up_and_nothing_else,
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
            items_that_differ_in_what_they_are_are_made_as_they_are_stored,
            a_list_of_results_is_stored_as_it_is_written,
            tasks_and_items_are_read_in_pieces,
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
            of_many_tasks_that_wait_for_a_changed_one_the_first_is_named,
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
            appends_that_nobody_waits_for_lose_and_double_nothing,
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
        events {
            each_change_is_one_event,
            an_event_says_who_and_why,
            events_are_given_from_a_place_on_and_up_to_a_limit,
            items_and_questions_are_told,
            numbers_go_on_after_a_resume_and_a_new_definition,
            what_changes_nothing_is_no_event,
            a_refused_command_leaves_no_event,
            events_of_many_workers_are_in_one_order,
            events_of_an_unknown_run_are_not_found,
        }
        limits {
            a_run_has_no_more_in_hand_than_it_may_over_all_workers,
            a_full_run_does_not_hold_up_others,
            a_run_that_becomes_full_hides_no_other,
            tasks_of_many_keys_are_given_in_their_order,
            a_run_that_may_run_one_at_a_time_does_so_to_the_end,
            items_count_as_tasks_of_their_run,
            a_key_is_limited_over_several_runs,
            each_task_says_how_many_of_its_key_it_may_be_among,
            however_a_task_is_left_its_key_is_free,
            the_store_gives_no_more_than_the_request_allows_for_all,
            of_many_claims_at_once_no_limit_is_exceeded,
            no_queue_named_means_all_by_urgency,
        }
        timers {
            a_delay_begins_when_the_dependencies_have_ended,
            the_delay_of_a_first_task_begins_at_once,
            a_short_delay_passes,
            nothing_starts_before_its_time,
            a_delay_is_not_waited_for_again_by_a_retry,
            waiting_for_people_ends_when_its_time_is_over,
            an_answer_in_time_ends_the_waiting_at_once,
            waiting_without_end_is_never_due,
            only_the_kinds_that_are_named_are_tried_again,
            a_task_that_waits_for_its_items_is_never_due,
            nothing_is_woken_in_a_run_that_has_ended,
        }
        halts {
            a_paused_run_starts_nothing_and_lets_finish_what_runs,
            a_paused_run_ends_with_its_last_task,
            a_paused_run_fails_when_what_runs_fails,
            what_has_ended_cannot_be_paused,
            a_paused_run_can_be_cancelled,
            a_crash_in_a_paused_run_waits_for_the_resume,
            an_answer_to_a_paused_run_counts_when_it_goes_on,
            runs_that_tasks_started_are_paused_and_go_on_with_theirs,
            when_the_time_of_a_run_is_over_what_runs_is_told_to_stop,
            a_run_whose_time_was_over_is_resumed_without_a_limit,
            a_run_that_failed_in_time_is_resumed_later_without_a_limit,
            a_run_is_resumed_with_another_end_of_its_time,
            a_run_that_ends_in_time_is_left_alone,
            the_time_of_a_halted_run_goes_on,
            when_its_time_is_over_so_is_that_of_the_runs_it_started,
            a_task_that_kills_its_workers_is_dead,
            dependents_of_a_dead_task_go_on_where_asked,
            a_dead_task_runs_again_when_its_run_is_resumed,
        }
        trees {
            a_task_joins_the_run_that_it_waited_for,
            a_run_that_ended_badly_is_joined_too,
            a_run_that_was_cancelled_by_itself_is_joined_too,
            a_run_that_ended_before_is_joined_at_once,
            a_run_that_is_not_there_cannot_be_waited_for,
            a_run_waits_for_people_when_the_run_it_waits_for_does,
            a_run_waits_when_the_run_it_waits_for_is_paused,
            runs_that_tasks_started_are_cancelled_with_theirs,
            after_a_resume_the_task_has_its_run_go_on,
            a_retry_does_not_join_the_run_that_failed,
            the_join_of_a_worker_that_died_is_done_by_the_next,
            runs_of_three_levels_end_from_the_deepest_up,
            a_claim_for_a_run_takes_from_all_that_it_started,
            a_run_and_those_it_started_are_listed_by_their_root,
            two_tasks_wait_for_runs_of_their_own,
            runs_are_cancelled_when_the_run_that_waits_for_them_fails,
            a_run_is_cancelled_when_its_task_fails_before_it_waits,
            a_run_that_a_task_started_while_its_own_was_cancelled_is_cancelled,
            a_run_is_cancelled_when_its_task_is_defined_anew,
            a_run_that_is_not_its_parents_last_word_goes_on,
        }
        admin {
            a_key_that_was_submitted_gives_its_run_and_stores_nothing,
            of_many_submissions_of_one_key_one_is_stored,
            a_run_says_what_made_it_fail_first,
            an_allowed_failure_is_no_error_of_the_run,
            a_claim_tells_when_the_definition_is_another,
            an_empty_store_has_nothing_to_count,
            runs_tasks_entries_and_events_are_counted,
            a_worker_that_was_seen_is_given_with_the_time_of_it,
            a_worker_seen_again_is_one_worker,
            what_is_removed_is_gone_with_all_that_was_kept,
            only_what_ended_before_the_time_is_removed,
            runs_that_go_on_are_never_removed,
            only_runs_in_the_states_asked_are_removed,
            a_dry_run_counts_and_leaves_all,
            the_oldest_are_removed_first_up_to_the_limit,
            a_run_is_removed_with_all_that_it_started_and_not_before,
            a_tree_of_which_a_run_goes_on_stays,
        }
        workers {
            many_workers_run_every_task_once_and_in_order,
            workers_that_die_cost_attempts_but_no_task,
            many_runs_at_once_all_complete,
        }
    }
}

/// The same for cases that need two stores of a backend.
#[cfg(test)]
macro_rules! conformance_of_two {
    ([$($backend:ident: $open:path),*] $cases:tt) => { $(conformance_of_two!(@backend $backend, $open, $cases);)* };
    (@backend $backend:ident, $open:path, { $($area:ident { $($case:ident,)* })* }) => {
        mod $backend {
            $(mod $area {
                $(#[tokio::test]
                async fn $case() {
                    let opened = || Option::<crate::fixture::Opened>::from($open());
                    let (Some(one), Some(two)) = (opened(), opened()) else { return };
                    crate::$area::$case(one.store.clone(), two.store.clone()).await;
                })*
            })*
        }
    };
}

#[cfg(test)]
conformance_of_two! {
    [
        two_memory: crate::fixture::memory, two_sqlite: crate::fixture::sqlite, two_sled: crate::fixture::sled,
        two_redis: crate::fixture::redis, two_remote: crate::wire::memory
    ]
    {
        copies {
            everything_of_a_run_is_copied,
            a_copied_run_goes_on,
            dependents_of_a_copied_task_start_when_it_ends,
            what_workers_have_in_hand_is_ready_in_the_copy,
            a_run_whose_last_worker_was_to_stop_ends_in_the_copy,
            a_run_that_has_ended_is_copied_as_it_ended,
            a_tree_of_runs_is_copied_run_by_run,
            an_id_that_is_taken_is_not_copied,
            a_copy_that_an_earlier_version_wrote_is_read,
        }
    }
}
