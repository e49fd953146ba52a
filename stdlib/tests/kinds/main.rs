//! The kinds from outside: through the trait, against servers and files.

mod bench;
#[path = "../../../tests/support/campaign.rs"]
mod campaign;
mod peers;
mod redis_peer;
#[path = "../../../tests/support/servers.rs"]
mod servers;
mod smtp_peer;

mod db;
mod describe;
mod email;
mod http;
mod kill;
mod redis;
mod sms;
mod stand_ins;
mod tls;
