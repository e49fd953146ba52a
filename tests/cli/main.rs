//! The command line, run as its users run it.

mod bad_input;
mod binary;
mod readme;
mod run;
mod stopped;
mod testing;
mod transcript;
