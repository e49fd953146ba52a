//! The kinds from outside: through the trait, against servers and files.

mod bench;
mod peers;
mod smtp_peer;

mod db;
mod describe;
mod email;
mod http;
mod sms;
mod stand_ins;
