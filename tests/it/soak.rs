//! Many streams at once, in a process of their own so that its memory is theirs alone.

use std::process::Command;

#[test]
fn two_hundred_streams_keep_memory_flat_do_not_stall_and_are_freed_at_once() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streams"));
    let done = command.args(["--streams", "200", "--seconds", "5", "--warm-up", "2"]).output().unwrap();
    let (told, wrong) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{told}{wrong}");
    assert!(told.contains("cancelled: all free after "), "{told}");
}
