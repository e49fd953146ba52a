//! Retry policies, named and written out.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::literal;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings, Missed};
use crate::node::{Node, Tree};
use crate::plan::{Delay, Retry};
use crate::project::Policy;
use crate::suggest::did_you_mean;
use crate::time::Period;

/// What switches the default policy off.
pub(crate) const NONE: &str = "none";

/// What the delays are multiplied by if a policy does not say.
const FACTOR: f64 = 2.0;

/// The policies that a `retry:` stands for; empty for `none`. None if it is not known what was meant.
pub(crate) fn resolve(node: &Node, named: &IndexMap<String, Policy>, found: &mut Findings) -> Option<Vec<Retry>> {
    match &node.tree {
        Tree::String(_) => {
            let name = literal::text(node, found)?.value;
            if name == NONE {
                return Some(Vec::new());
            }
            by_name(&name, node, named, found).map(|retry| vec![retry])
        }
        Tree::List(items) => {
            let policies = items.iter().map(|item| match &item.tree {
                Tree::String(name) => by_name(name, item, named, found),
                _ => policy(item, found),
            });
            // All are looked at, so that all mistakes are found.
            let policies: Vec<Option<Retry>> = policies.collect();
            policies.into_iter().collect()
        }
        _ => policy(node, found).map(|retry| vec![retry]),
    }
}

fn by_name(name: &str, node: &Node, named: &IndexMap<String, Policy>, found: &mut Findings) -> Option<Retry> {
    if let Some(policy) = named.get(name) {
        return Some(policy.retry.clone());
    }
    let finding = Diagnostic::error(Code::UNKNOWN_NAME, node.span, format!("there is no retry policy `{name}`"))
        .missed(Missed::InProject);
    let names = || named.keys().map(String::as_str).chain([NONE]);
    let help = match did_you_mean(name, names()) {
        _ if name == NONE => "`none` stands alone: `retry: none`".to_owned(),
        Some(help) => help,
        None => "named policies stand under `retries:` in `wf.yaml`".to_owned(),
    };
    found.push(finding.help(help));
    None
}

/// A policy that is written out.
pub(crate) fn policy(node: &Node, found: &mut Findings) -> Option<Retry> {
    let Tree::Map(entries) = &node.tree else { return None };
    let mut retry = Retry {
        max_attempts: None,
        delay: Delay::Exponential { first: Period::ZERO, factor: FACTOR },
        max_delay: None,
        max_elapsed: None,
        jitter: false,
        only: Vec::new(),
        except: Vec::new(),
    };
    let (mut first, mut factor, mut delays) = (Period::ZERO, FACTOR, None);
    for entry in entries {
        let value = &entry.value;
        match entry.key.value.as_str() {
            "max_attempts" => retry.max_attempts = int(value),
            "delay" => first = literal::period(value, found).unwrap_or_default(),
            "factor" => factor = number(value).unwrap_or(FACTOR),
            "delays" => delays = Some(value.items().iter().filter_map(|item| literal::period(item, found)).collect()),
            "max_delay" => retry.max_delay = literal::period(value, found),
            "max_elapsed" => retry.max_elapsed = literal::period(value, found),
            "jitter" => retry.jitter = value.as_str() == Some("full"),
            "only" => retry.only = texts(value, found),
            "except" => retry.except = texts(value, found),
            _ => {}
        }
    }
    retry.delay = match delays {
        Some(delays) => Delay::List(delays),
        None => Delay::Exponential { first, factor },
    };
    if let Delay::List(delays) = &retry.delay {
        // One attempt comes first, then one after each delay.
        retry.max_attempts = u32::try_from(delays.len() + 1).ok();
    }
    Some(retry)
}

impl Retry {
    /// The policy as a file would write it.
    pub(crate) fn to_json(&self) -> Json {
        let mut policy = Map::new();
        match &self.delay {
            Delay::List(delays) => {
                let delays: Vec<String> = delays.iter().map(|delay| delay.compact()).collect();
                policy.insert("delays".to_owned(), Json::from(delays));
            }
            Delay::Exponential { first, factor } => {
                let mut put = |key: &str, value: Option<Json>| {
                    if let Some(value) = value {
                        policy.insert(key.to_owned(), value);
                    }
                };
                put("max_attempts", self.max_attempts.map(Json::from));
                put("delay", Some(Json::from(first.compact())));
                put("factor", Some(Json::from(*factor)));
                put("max_delay", self.max_delay.map(|delay| Json::from(delay.compact())));
                put("max_elapsed", self.max_elapsed.map(|period| Json::from(period.compact())));
                put("jitter", Some(Json::from(if self.jitter { "full" } else { "none" })));
            }
        }
        for (key, codes) in [("only", &self.only), ("except", &self.except)] {
            if !codes.is_empty() {
                policy.insert(key.to_owned(), Json::from(codes.clone()));
            }
        }
        Json::Object(policy)
    }
}

fn texts(node: &Node, found: &mut Findings) -> Vec<String> {
    node.items().iter().filter_map(|item| literal::text(item, found)).map(|text| text.value).collect()
}

fn int(node: &Node) -> Option<u32> {
    match node.tree {
        Tree::Int(value) => u32::try_from(value).ok(),
        // The schema takes `3.0` for a whole number, as JSON Schema does.
        Tree::Number(value) => u32::try_from(value as i64).ok(),
        _ => None,
    }
}

fn number(node: &Node) -> Option<f64> {
    match node.tree {
        Tree::Int(value) => Some(value as f64),
        Tree::Number(value) => Some(value),
        _ => None,
    }
}

/// The names that `retry:` has anywhere in a file.
pub(crate) fn policy_names<'n>(node: &'n Node, names: &mut BTreeSet<&'n str>) {
    match &node.tree {
        Tree::Map(entries) => {
            for entry in entries {
                if entry.key.value == "retry" {
                    names.extend(entry.value.as_str());
                    names.extend(entry.value.items().iter().filter_map(Node::as_str));
                }
                policy_names(&entry.value, names);
            }
        }
        Tree::List(items) => items.iter().for_each(|item| policy_names(item, names)),
        _ => {}
    }
}
