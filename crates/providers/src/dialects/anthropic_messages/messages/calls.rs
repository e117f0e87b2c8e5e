//! Which calls of tools wait for their results, and what they are called on the wire.

use std::borrow::Cow;
use std::collections::HashSet;

use motet_core::message::ToolResult;
use motet_core::{Error, ErrorKind, Result};

use crate::dialect::CallIdRule;
use crate::dialect::call_ids;

/// The calls of a conversation while it is written.
#[derive(Default)]
pub(super) struct Calls<'a> {
    /// Ids on the wire so far, none of which may be used twice.
    used: HashSet<String>,
    latest: Vec<Call<'a>>,
    /// The turn that goes on holds calls.
    in_turn: bool,
}

struct Call<'a> {
    id: &'a str,
    name: &'a str,
    on_wire: Cow<'a, str>,
    answered: bool,
}

impl<'a> Calls<'a> {
    /// Notes a call and gives its id on the wire, which differs from that of every earlier call.
    pub(super) fn call(&mut self, id: &'a str, name: &'a str, rule: &CallIdRule) -> Cow<'a, str> {
        let mut on_wire = call_ids::on_wire(id, rule);
        let mut again = 1;
        while !self.used.insert(on_wire.clone().into_owned()) {
            again += 1;
            on_wire = Cow::Owned(call_ids::on_wire(&format!("{id}_{again}"), rule).into_owned());
        }
        if self.latest.iter().all(|call| call.answered) {
            self.latest.clear();
        }
        self.latest.push(Call { id, name, on_wire: on_wire.clone(), answered: false });
        self.in_turn = true;
        on_wire
    }

    /// Gives the id on the wire of the call that a result answers.
    pub(super) fn answer(&mut self, result: &ToolResult) -> Result<Cow<'a, str>> {
        let known = self.latest.iter_mut().find(|call| call.id == result.id && !call.answered);
        let Some(call) = known else {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "a result answers call `{}` of tool `{}`, but no such call waits for one",
                    result.id, result.name
                ),
            )
            .with_hint("give each result directly after the message that holds its call, once"));
        };
        call.answered = true;
        Ok(call.on_wire.clone())
    }

    /// Refuses to go on while calls wait for their results.
    pub(super) fn check_answered(&self) -> Result<()> {
        let Some(open) = self.latest.iter().find(|call| !call.answered) else { return Ok(()) };
        Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("call `{}` of tool `{}` has no result", open.id, open.name),
        )
        .with_hint(
            "add a result for every call directly after the message that holds it, or remove the call",
        ))
    }

    /// Notes that the user spoke.
    pub(super) fn turn_ended(&mut self) {
        self.in_turn = false;
    }

    /// Tells whether the turn that goes on holds calls.
    pub(super) fn in_turn(&self) -> bool {
        self.in_turn
    }
}
