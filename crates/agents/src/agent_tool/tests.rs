//! The names of steps; what agents as tools do stands among the scenarios of the drivers.

use super::*;

#[test]
fn depth_is_counted_by_the_names_of_the_steps() {
    for (step, expected) in [
        ("", 0),
        ("tool/0/1", 1),
        ("chat/tool/0/1.2", 1),
        ("tool/0/1/tool/12/0/model/3", 2),
        ("tool/build/0", 0),
        ("tools/0/1/tool/0", 0),
        ("tool/0/0/work/tool/3/4/tool/5/6", 3),
    ] {
        assert_eq!(depth(step), expected, "{step}");
    }
}
