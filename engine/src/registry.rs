//! The definitions that the engine knows: the newest of each workflow, and those that old runs are pinned to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, RwLock};

use wf_dsl::{Plan, PlanHash, Value};

use crate::definition::Definition;
use crate::run::{Signature, Workflows};
use crate::store::InboxKey;

/// Definitions by workflow and by hash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    newest: BTreeMap<String, (u16, Arc<Definition>)>,
    by_hash: Arc<RwLock<HashMap<PlanHash, Arc<Definition>>>>,
    /// What waits of those may look for, by event.
    awaited: Arc<RwLock<HashMap<String, BTreeSet<Signature>>>>,
}

impl Registry {
    /// Makes a definition the newest of its workflow.
    pub(crate) fn add(&mut self, number: u16, definition: Arc<Definition>) {
        self.pin(definition.clone());
        self.newest.insert(definition.plan.workflow.name.value.clone(), (number, definition));
    }

    /// Remembers a definition that runs are pinned to.
    pub(crate) fn pin(&self, definition: Arc<Definition>) {
        for signature in Signature::declared(&definition.plan.workflow) {
            let mut awaited = self.awaited.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            awaited.entry(signature.event.clone()).or_default().insert(signature);
        }
        let mut by_hash = self.by_hash.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        by_hash.insert(definition.plan.hash, definition);
    }

    /// The definition with this hash, if it is known.
    pub(crate) fn pinned(&self, hash: &PlanHash) -> Option<Arc<Definition>> {
        self.by_hash.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(hash).cloned()
    }

    /// The keys under which waits may look for an event.
    pub(crate) fn inbox_keys(&self, event: &str, data: &Value) -> Vec<InboxKey> {
        let awaited = self.awaited.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        awaited.get(event).into_iter().flatten().filter_map(|signature| signature.key(data)).collect()
    }

    /// Whether an event of this name starts a workflow or may end a wait.
    pub(crate) fn hears(&self, event: &str) -> bool {
        let is_trigger = |trigger: &wf_dsl::Trigger| matches!(trigger, wf_dsl::Trigger::Event { event: name, .. } if name.value == event);
        let awaited = self.awaited.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        awaited.contains_key(event)
            || self.iter().any(|(_, definition)| definition.plan.workflow.triggers.iter().any(is_trigger))
    }

    /// The newest definition of every workflow, with its number, in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &Arc<Definition>)> {
        self.newest.values().map(|(number, definition)| (*number, definition))
    }

    /// The name of the workflow with this number.
    pub(crate) fn name_of(&self, number: u16) -> Option<String> {
        let mut all = self.iter();
        all.find(|(known, _)| *known == number).map(|(_, definition)| definition.plan.workflow.name.value.clone())
    }

    /// The newest plan of a workflow.
    pub(crate) fn plan(&self, workflow: &str) -> Option<&Arc<Plan>> {
        self.newest.get(workflow).map(|(_, definition)| &definition.plan)
    }
}

impl Workflows for Registry {
    fn newest(&self, name: &str) -> Option<(u16, &Arc<Definition>)> {
        self.newest.get(name).map(|(number, definition)| (*number, definition))
    }
}
