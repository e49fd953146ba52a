//! `kill -9` at any record of a running funnel, again and again until it has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::place::Place;

/// A sitting may see this many records before it is killed.
const RECORDS_MAX: u64 = 40;

/// What the kills of a campaign did.
#[derive(Default)]
struct Tally {
    kills: usize,
    runs: usize,
    messages: usize,
    /// Deliveries of a message after its first.
    extra: usize,
    /// Kinds of records, by what the timeline calls them.
    kinds: BTreeSet<String>,
    /// Kills by the records before and after them.
    between: BTreeMap<(String, String), usize>,
}

impl Tally {
    /// A kind of record after which nothing was killed yet.
    fn spared(&self) -> Option<String> {
        let killed_after: BTreeSet<&String> = self.between.keys().map(|(before, _)| before).collect();
        self.kinds.iter().find(|kind| !killed_after.contains(kind)).cloned()
    }
}

/// How a sitting ended.
enum Sitting {
    Killed,
    Ended,
}

/// Makes at least so many kills, until each kind of record was the last one before a kill.
pub(crate) fn campaign(kills: usize) {
    let seed = std::env::var("WF_SEED").map_or(0x5eed, |seed| seed.parse().expect("WF_SEED is a number"));
    let mut chance = Chance(seed);
    let mut tally = Tally::default();
    while tally.kills < kills || tally.spared().is_some() {
        assert!(tally.kills < 3 * kills + 60, "some kind of record is never the last before a kill");
        let sample = if tally.runs % 2 == 0 { "completed.json" } else { "enrolled.json" };
        one_run(sample, &mut tally, &mut chance);
    }
    println!(
        "{} kills of {} runs (WF_SEED={seed}): {} messages, {} delivered once more",
        tally.kills, tally.runs, tally.messages, tally.extra
    );
    for ((before, after), count) in &tally.between {
        println!("  {count:3} between {before} and {after}");
    }
}

fn one_run(sample: &str, tally: &mut Tally, chance: &mut Chance) {
    let place = Place::new(sample);
    let (mut run, mut kills, mut command) = (None, 0, place.run(sample));
    while let Sitting::Killed = sit(&mut command, &mut run, tally, chance) {
        kills += 1;
        let run = run.as_ref().expect("nothing is killed before the run has its id");
        command = place.resume(run);
    }
    let received = place.receivers.messages();
    tally.extra += place.check(&received, kills);
    tally.messages += received.len();
    tally.kills += kills;
    tally.runs += 1;
}

/// Lets the command run until it ends or is killed.
fn sit(command: &mut Command, run: &mut Option<String>, tally: &mut Tally, chance: &mut Chance) -> Sitting {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the command starts");
    let mut lines = BufReader::new(child.stderr.take().expect("it was piped")).lines().map_while(Result::ok);
    let mut talk = Vec::new();
    let mut left = 1 + chance.below(RECORDS_MAX);
    // Every other time, the kind of record decides.
    let spared = tally.spared().filter(|_| chance.below(2) == 0);
    let mut last = String::from("start");
    while left > 0 && (spared.is_none() || spared.as_ref() != Some(&last)) {
        let Some(line) = lines.next() else { return ended(child, &talk) };
        if let Some(id) = line.strip_prefix("run ") {
            *run = Some(id.split_whitespace().next().unwrap_or_default().to_owned());
        }
        if let Some(kind) = kind_of(&line) {
            tally.kinds.insert(kind.clone());
            last = kind;
            left -= u64::from(run.is_some());
        }
        talk.push(line);
    }
    child.kill().expect("it is our child");
    // What it said between our decision and its death came true.
    let mut next = None;
    for line in lines {
        if let Some(kind) = kind_of(&line) {
            tally.kinds.insert(kind.clone());
            last = next.replace(kind).unwrap_or(last);
        }
        talk.push(line);
    }
    if child.wait().expect("it is our child").success() {
        return Sitting::Ended; // it was faster
    }
    let after = next.unwrap_or_else(|| "what comes next".to_owned());
    *tally.between.entry((last, after)).or_default() += 1;
    Sitting::Killed
}

fn ended(mut child: Child, talk: &[String]) -> Sitting {
    let status = child.wait().expect("it is our child");
    assert!(status.success(), "{status}:\n{}", talk.join("\n"));
    Sitting::Ended
}

/// What a line of the timeline tells of, such as `done`; none for other lines.
fn kind_of(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let time = words.next()?;
    let is_time = time.len() == 8 && time.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    let (_step, kind) = (words.next()?, words.next()?);
    let kind = if kind.bytes().all(|byte| byte.is_ascii_digit()) { "branches" } else { kind.trim_end_matches(':') };
    (is_time && line.starts_with("  ")).then(|| kind.to_owned())
}

/// Chance that repeats itself: splitmix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
