//! The command line, run as its users run it.

mod bad_input;
mod binary;
mod run;
mod stopped;
mod transcript;
