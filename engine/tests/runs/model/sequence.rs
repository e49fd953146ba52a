//! What happens: workflows with limits, and who does what when, drawn with a seed.

use std::fmt::Write as _;

use wf_engine::Time;

use crate::random::Random;

/// How long a run waits between its first attempt and its second one, in milliseconds.
pub(super) const RETRY_MS: i64 = 7_000;
/// Lengths of windows, in milliseconds.
const WINDOWS: [i64; 6] = [1, 1_000, 3_500, 10_000, 30_000, 60_000];
/// How many values a key has.
const KEYS: usize = 3;

/// Workflows and what happens to them. Lengths and times are in milliseconds, times since the beginning.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    pub(super) flows: Vec<Flow>,
    pub(super) acts: Vec<(i64, Act)>,
}

/// The limits of a workflow. A key is the first or the second field of its events that is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    pub(super) idempotency: Option<(usize, i64)>,
    pub(super) rate: Option<Rate>,
    pub(super) gather: Option<Gather>,
    pub(super) unique: Option<(usize, &'static str)>,
    pub(super) has_priority: bool,
    pub(super) start_within: Option<i64>,
    pub(super) slots: Vec<Slots>,
    pub(super) throttle: Option<(Rate, u32)>,
    /// How long its `finally` takes, if it has one.
    pub(super) finally: Option<i64>,
}

/// `debounce`, or `batch` if there is a greatest number: how long from the last event on, from the first, and the key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gather {
    pub(super) quiet: Option<i64>,
    pub(super) within: Option<i64>,
    pub(super) max: Option<usize>,
    pub(super) key: Option<usize>,
}

/// So many in a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) limit: u32,
    pub(super) per: i64,
    pub(super) key: Option<usize>,
}

/// A rule of `concurrency`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    pub(super) limit: u32,
    pub(super) key: Option<usize>,
    pub(super) is_of_project: bool,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Send(Start),
    /// An event that the run of this start waits for.
    Note(usize),
    /// The run of this start is cancelled.
    Cancel(usize),
    Pause(usize),
    Resume(usize),
    /// The process is killed, and is not there for so long.
    Down(i64),
}

/// An event that starts a run, and what the run does.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) n: usize,
    pub(super) flow: usize,
    pub(super) keys: [usize; 2],
    pub(super) rank: i64,
    /// How long its first step takes.
    pub(super) first: i64,
    /// Its first attempt fails.
    pub(super) is_retried: bool,
    /// All attempts fail.
    pub(super) fails: bool,
    /// How long it sleeps then, and how long the step after that takes.
    pub(super) nap: Option<(i64, i64)>,
    /// How long it waits for its note at most, and how long the step after that takes.
    pub(super) wait: Option<(i64, i64)>,
}

fn happens(random: &mut Random, percent: usize) -> bool {
    random.below(100) < percent
}

fn maybe<T>(random: &mut Random, percent: usize, make: impl FnOnce(&mut Random) -> T) -> Option<T> {
    happens(random, percent).then(|| make(random))
}

fn window(random: &mut Random) -> i64 {
    WINDOWS[random.below(WINDOWS.len())]
}

/// A length of time. Most are crooked, so that what is not caused by the same thing is seldom at the same instant.
fn length(random: &mut Random) -> i64 {
    let seconds = [0, 0, 1, 2, 5, 10, 20, 60][random.below(8)];
    seconds * 1_000 + maybe(random, 85, |random| 1 + random.below(998) as i64).unwrap_or(0)
}

fn key(random: &mut Random) -> Option<usize> {
    maybe(random, 60, |random| random.below(2))
}

fn rate(random: &mut Random) -> Rate {
    Rate { limit: 1 + random.below(3) as u32, per: window(random), key: key(random) }
}

fn gather(random: &mut Random) -> Gather {
    let key = key(random);
    if happens(random, 50) {
        return Gather { quiet: None, within: Some(window(random)), max: Some(1 + random.below(4)), key };
    }
    let quiet = window(random);
    Gather {
        quiet: Some(quiet),
        within: maybe(random, 50, |random| quiet * (1 + random.below(4) as i64)),
        max: None,
        key,
    }
}

fn flow(random: &mut Random) -> Flow {
    let slots = |random: &mut Random| Slots {
        limit: 1 + random.below(3) as u32,
        key: key(random),
        is_of_project: happens(random, 25),
    };
    let conflict = |random: &mut Random| ["skip", "queue", "replace"][random.below(3)];
    let rules = [0, 0, 1, 1, 2][random.below(5)];
    Flow {
        idempotency: maybe(random, 20, |random| (random.below(2), window(random))),
        rate: maybe(random, 20, rate),
        gather: maybe(random, 20, gather),
        unique: maybe(random, 35, |random| (random.below(2), conflict(random))),
        has_priority: happens(random, 40),
        start_within: maybe(random, 25, window),
        slots: (0..rules).map(|_| slots(random)).collect(),
        throttle: maybe(random, 30, |random| (rate(random), 1 + random.below(3) as u32)),
        finally: maybe(random, 25, length),
    }
}

fn start(random: &mut Random, n: usize, flows: usize) -> Start {
    Start {
        n,
        flow: random.below(flows),
        keys: [random.below(KEYS), random.below(KEYS)],
        rank: [0, 0, 0, 1, 7, -5, 100, 150, -200][random.below(9)],
        first: length(random),
        is_retried: happens(random, 15),
        fails: happens(random, 10),
        nap: maybe(random, 35, |random| (1 + length(random), length(random))),
        wait: maybe(random, 20, |random| (1 + length(random), length(random))),
    }
}

impl Sequence {
    /// The sequence of a seed.
    pub(super) fn of(seed: u64) -> Sequence {
        let random = &mut Random::new(seed);
        let flows: Vec<Flow> = (0..1 + random.below(2)).map(|_| flow(random)).collect();
        let starts = 3 + random.below(18);
        let windows: Vec<i64> = flows.iter().flat_map(Flow::windows).collect();
        let (mut at, mut n, mut acts) = (1, 0, Vec::new());
        let mut paused = None;
        while n < starts {
            let act = match random.below(100) {
                0..5 if n > 0 => Act::Cancel(random.below(n)),
                5..12 if n > 0 => Act::Note(random.below(n)),
                12..16 => Act::Down(1 + length(random)),
                16..22 => match paused.take() {
                    Some(flow) => Act::Resume(flow),
                    None => {
                        let flow = random.below(flows.len());
                        paused = Some(flow);
                        Act::Pause(flow)
                    }
                },
                _ => {
                    n += 1;
                    Act::Send(start(random, n - 1, flows.len()))
                }
            };
            at = next_instant(random, at, &act, &acts, &windows, &flows);
            let outage = if let Act::Down(outage) = &act { *outage } else { 0 };
            acts.push((at, act));
            at += outage;
        }
        Sequence { flows, acts }.resumed()
    }

    /// Ends with nothing paused.
    fn resumed(mut self) -> Sequence {
        let end = self.acts.iter().map(|(at, act)| at + if let Act::Down(outage) = act { *outage } else { 0 }).max();
        for flow in 0..self.flows.len() {
            let last =
                self.acts.iter().rev().find(|(_, act)| matches!(act, Act::Pause(it) | Act::Resume(it) if *it == flow));
            if let Some((_, Act::Pause(_))) = last {
                self.acts.push((end.unwrap_or(0) + 1_234 + flow as i64, Act::Resume(flow)));
            }
        }
        self
    }

    /// Sequences in which one thing less happens, or a limit is not there.
    pub(super) fn shorter(&self) -> Vec<Sequence> {
        let mut all = Vec::new();
        for act in (0..self.acts.len()).rev() {
            let mut shorter = self.clone();
            shorter.acts.remove(act);
            all.push(shorter.resumed());
            all.retain(|shorter| shorter.acts.len() < self.acts.len());
        }
        for flow in 0..self.flows.len() {
            let without: [fn(&mut Flow) -> bool; 10] = [
                |flow| flow.gather.take().is_some(),
                |flow| flow.idempotency.take().is_some(),
                |flow| flow.rate.take().is_some(),
                |flow| flow.unique.take().is_some(),
                |flow| std::mem::take(&mut flow.has_priority),
                |flow| flow.start_within.take().is_some(),
                |flow| flow.throttle.take().is_some(),
                |flow| flow.finally.take().is_some(),
                |flow| flow.slots.pop().is_some(),
                |flow| !flow.slots.is_empty() && flow.slots.remove(0).limit > 0,
            ];
            for without in without {
                let mut shorter = self.clone();
                if without(&mut shorter.flows[flow]) {
                    all.push(shorter);
                }
            }
        }
        for act in 0..self.acts.len() {
            let without: [fn(&mut Start) -> bool; 4] = [
                |start| start.nap.take().is_some(),
                |start| start.wait.take().is_some(),
                |start| std::mem::take(&mut start.is_retried),
                |start| std::mem::take(&mut start.fails),
            ];
            for without in without {
                let mut shorter = self.clone();
                if let (_, Act::Send(start)) = &mut shorter.acts[act]
                    && without(start)
                {
                    all.push(shorter);
                }
            }
        }
        all
    }

    /// The sequence as a case of `tests/runs`.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (number, flow) in self.flows.iter().enumerate() {
            flow.write(number, &mut text);
        }
        text.push_str("script:\n");
        for (at, act) in &self.acts {
            let what = match act {
                Act::Send(start) => start.text(),
                Act::Note(n) => format!("send: note, data: {{n: {n}}}"),
                Act::Cancel(n) => format!("cancel: flow{}, id: n{n}", self.flow_of(*n)),
                Act::Pause(flow) => format!("pause: flow{flow}"),
                Act::Resume(flow) => format!("resume: flow{flow}"),
                Act::Down(outage) => format!("down: {outage}ms"),
            };
            let _ = writeln!(text, "  - {{at: {at}ms, {what}}}");
        }
        if self.acts.is_empty() {
            text.push_str("  []\n");
        }
        text
    }

    fn flow_of(&self, n: usize) -> usize {
        self.starts().find(|start| start.n == n).map_or(0, |start| start.flow)
    }

    pub(super) fn starts(&self) -> impl Iterator<Item = &Start> {
        self.acts.iter().filter_map(|(_, act)| if let Act::Send(start) = act { Some(start) } else { None })
    }
}

/// When the next thing happens. Only starts happen at one instant, where that leaves no choice what comes of them; many
/// happen one millisecond before the end of a window, at it, or one after it.
fn next_instant(random: &mut Random, at: i64, act: &Act, acts: &[(i64, Act)], windows: &[i64], flows: &[Flow]) -> i64 {
    let before = acts.iter().rev().filter(|(_, act)| matches!(act, Act::Send(_))).nth(random.below(3));
    if let (Some((before, _)), true, true) = (before, !windows.is_empty(), happens(random, 30)) {
        let edge = before + windows[random.below(windows.len())] + random.below(3) as i64 - 1;
        if edge > at {
            return edge;
        }
    }
    let both_start = matches!((act, acts.last()), (Act::Send(_), Some((_, Act::Send(_)))));
    let at_once = both_start && flows.iter().all(|flow| flow.unique.is_none());
    match random.below(10) {
        0..4 if at_once => at,
        0..7 => at + 1 + random.below(3_000) as i64,
        _ => at + 1 + length(random),
    }
}

impl Flow {
    fn windows(&self) -> impl Iterator<Item = i64> + '_ {
        let throttle = self.throttle.map(|(rate, _)| rate.per / i64::from(rate.limit));
        let rate = self.rate.map(|rate| rate.per);
        let gather = self.gather.iter().flat_map(|it| [it.quiet, it.within]).flatten();
        let windows = [throttle, rate, self.idempotency.map(|(_, within)| within)].into_iter().flatten();
        windows.chain(gather)
    }

    fn write(&self, number: usize, text: &mut String) {
        let name = ["a", "b"];
        let keyed =
            |key: Option<usize>| key.map_or(String::new(), |key| format!(", key: '${{ event.data.{} }}'", name[key]));
        let rate = |rate: &Rate| format!("limit: {}, per: {}ms{}", rate.limit, rate.per, keyed(rate.key));
        let mut rules = Vec::new();
        if let Some((key, within)) = self.idempotency {
            rules.push(format!("idempotency: {{within: {within}ms{}}}", keyed(Some(key))));
        }
        rules.extend(self.rate.iter().map(|it| format!("rate_limit: {{{}}}", rate(it))));
        rules.extend(self.gather.iter().map(|it| {
            let key = keyed(it.key);
            match (it.quiet, it.within, it.max) {
                (_, Some(within), Some(max)) => format!("batch: {{max: {max}, within: {within}ms{key}}}"),
                (Some(quiet), Some(most), _) => format!("debounce: {{quiet: {quiet}ms, max_wait: {most}ms{key}}}"),
                (quiet, ..) => format!("debounce: {{quiet: {}ms{key}}}", quiet.unwrap_or(1)),
            }
        }));
        if let Some((key, on_conflict)) = self.unique {
            rules.push(format!("unique: {{on_conflict: {on_conflict}{}}}", keyed(Some(key))));
        }
        if self.has_priority {
            rules.push("priority: '${ event.data.rank }'".to_owned());
        }
        rules.extend(self.start_within.map(|within| format!("start_within: {within}ms")));
        let slots = self.slots.iter().map(|it| {
            let scope = if it.is_of_project { ", scope: project" } else { "" };
            format!("{{limit: {}{}{scope}}}", it.limit, keyed(it.key))
        });
        let slots: Vec<String> = slots.collect();
        if !slots.is_empty() {
            rules.push(format!("concurrency: [{}]", slots.join(", ")));
        }
        rules.extend(self.throttle.iter().map(|(it, burst)| format!("throttle: {{{}, burst: {burst}}}", rate(it))));
        let _ = writeln!(text, "workflow: flow{number}\ntriggers: [{{event: go{number}}}]\nevents:");
        let _ = writeln!(
            text,
            "  go{number}: {{data: {{n: int, a: int, b: int, rank: int, first: duration, results: \"string[]\", \
             nap: duration, second: duration, wait: duration, third: duration}}}}"
        );
        if number == 0 {
            text.push_str("  note: {data: {n: int}}\n");
        }
        if !rules.is_empty() {
            let _ = writeln!(text, "limits:\n  {}", rules.join("\n  "));
        }
        let mut steps = STEPS.to_owned();
        if let Some(takes) = self.finally {
            let _ = writeln!(
                steps,
                "finally:\n  - {{id: end, test.call: {{say: '${{ event.data.n }}', takes: {takes}ms}}}}"
            );
        }
        if self.gather.is_some_and(|it| it.max.is_some()) {
            steps = steps.replace("event.data", "events[events.length() - 1].data");
        }
        text.push_str(&steps);
        text.push_str("---\n");
    }
}

const STEPS: &str = "steps:
  - id: first
    test.call: {takes: '${ event.data.first }', results: '${ event.data.results }'}
    retry: {delays: [7s]}
  - id: slept
    if: ${ event.data.nap > 0s }
    do:
      - {id: nap, sleep: '${ event.data.nap }'}
      - {id: second, test.call: {takes: '${ event.data.second }'}}
  - id: heard
    if: ${ event.data.wait > 0s }
    do:
      - id: told
        wait: [{event: note, match: {n: '${ event.data.n }'}}, {after: '${ event.data.wait }'}]
      - {id: third, test.call: {takes: '${ event.data.third }'}}
";

impl Start {
    fn text(&self) -> String {
        let Start { n, flow, keys: [a, b], rank, .. } = self;
        let results = match (self.is_retried, self.fails) {
            (false, false) => "[]",
            (true, false) => "[test.busy, ok]",
            (true, true) => "[test.busy, test.broken]",
            (false, true) => "[test.broken]",
        };
        let period = |ms: i64| wf_dsl::Period(ms).to_string();
        let (nap, then) = self.nap.unwrap_or_default();
        let (wait, last) = self.wait.unwrap_or_default();
        let [first, nap, then, wait, last] = [self.first, nap, then, wait, last].map(period);
        format!(
            "send: go{flow}, id: n{n}, data: {{n: {n}, a: {a}, b: {b}, rank: {rank}, first: {first}, \
             results: {results}, nap: {nap}, second: {then}, wait: {wait}, third: {last}}}"
        )
    }
}

/// A time as a sequence has it.
pub(super) fn since(begin: Time, at: Time) -> i64 {
    at.0 - begin.0
}
