//! Tests of guardrails.
