//! The kinds from outside: through the trait, against servers and files.

mod bench;
mod peers;

mod db;
mod describe;
mod http;
mod sms;
mod stand_ins;
