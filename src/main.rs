//! The `wf` command line.

fn main() {}
