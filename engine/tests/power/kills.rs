//! A process that is killed loses nothing that it was told.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use wf_engine::store::Durability;

use crate::campaign::rounds;
use crate::crash::Chance;
use crate::cuts::check;
use crate::seed;
use crate::watch::store_in;
use crate::writer::{Acknowledged, Plan};

/// A store is killed this often before the next one starts empty.
const KILLS_EACH: usize = 20;

/// Most acknowledgements that a process gets before it is killed.
const LINES_MAX: usize = 60;

pub(crate) fn killed_writers_lose_nothing() -> String {
    let mut chance = Chance::new(seed());
    let (mut dir, mut told, mut acknowledged) = (TempDir::new().unwrap(), Vec::new(), 0);
    let (kills, mut early) = (rounds("store-kills"), 0);
    for kill in 0..kills {
        if kill % KILLS_EACH == 0 {
            (dir, told) = (TempDir::new().unwrap(), Vec::new());
        }
        let durability = if kill % 2 == 0 { Durability::Power } else { Durability::Process };
        let plan = Plan { senders: 4, commits: 10_000, large: true, durability, ..Plan::default() };
        let new = told_until_killed(&dir, &plan, &mut chance);
        early += usize::from(new.is_empty());
        acknowledged += new.len();
        told.extend(new);
        check(&store_in(&dir), &told, &plan, 2).unwrap_or_else(|wrong| panic!("kill {kill}, seed {}: {wrong}", seed()));
    }
    format!("{kills} kills, {early} of them before the first commit, {acknowledged} acknowledged")
}

/// Half the time right after some acknowledgement, and sometimes while the store is opened.
fn told_until_killed(dir: &TempDir, plan: &Plan, chance: &mut Chance) -> Vec<Acknowledged> {
    let mut writer = Command::new(std::env::current_exe().unwrap());
    writer.arg("write").arg(store_in(dir)).args(plan.arguments()).stdout(Stdio::piped());
    let mut writer = writer.spawn().unwrap();
    let mut stdout = BufReader::new(writer.stdout.take().unwrap());
    let mut said = String::new();
    let lines = if chance.below(8) == 0 { 0 } else { chance.below(LINES_MAX) };
    for _ in 0..lines {
        stdout.read_line(&mut said).unwrap();
    }
    std::thread::sleep(Duration::from_micros([0, chance.below(30_000) as u64][chance.below(2)]));
    writer.kill().unwrap();
    writer.wait().unwrap();
    stdout.read_to_string(&mut said).unwrap();
    said.lines().map(|line| Acknowledged::read(line).unwrap_or_else(|| panic!("`{line}`"))).collect()
}
