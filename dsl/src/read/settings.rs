//! The project file, `wf.yaml`.

use indexmap::IndexMap;

use super::{literal, policy};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::form::Form;
use crate::node::{Node, Tree};
use crate::project::{ConfigValue, Connection, Policy, Settings, Webhook};
use crate::source::Spanned;
use crate::types::Type;
use crate::value::Value;

/// Reads a project file whose shape has been checked. Catalog files that it names are the caller's to read.
pub(crate) fn settings(tree: &Node, found: &mut Findings) -> Settings {
    let mut settings =
        Settings { name: tree.get("project").and_then(|node| literal::text(node, found)), ..Settings::default() };
    if let Some(timezone) = tree.get("timezone").and_then(|node| literal::text(node, found)) {
        settings.timezone = timezone;
    }
    settings.connections = connections(tree, found);
    settings.retries = retries(tree, found);
    if let Some(defaults) = tree.get("defaults") {
        let retry = defaults.get("retry").and_then(|node| policy::resolve(node, &settings.retries, found));
        settings.defaults.retry = retry;
        settings.defaults.timeout = defaults.get("timeout").and_then(|node| literal::duration(node, found));
    }
    for node in tree.get("kinds").map_or(&[][..], Node::items) {
        let Some(kind) = literal::text(node, found) else { continue };
        if is_catalog_path(&kind.value) {
            continue;
        }
        if !kind.value.contains('.') {
            let finding = Diagnostic::error(Code::FIELD, kind.span, format!("the kind `{}` has no dot", kind.value));
            found.push(
                finding.help("kinds of a host are named like `analytics.track`, and catalog files end in `.json`"),
            );
            continue;
        }
        settings.bare_kinds.insert(kind.value);
    }
    settings.config = config(tree, found);
    settings.webhooks = webhooks(tree, found);
    let allow = tree.get("http").and_then(|http| http.get("allow")).map_or(&[][..], Node::items);
    settings.http_allow = allow.iter().filter_map(|node| literal::text(node, found)).collect();
    settings
}

/// Whether an entry of `kinds:` names a catalog file, not a kind.
pub(crate) fn is_catalog_path(entry: &str) -> bool {
    entry.ends_with(".json") || entry.contains('/')
}

fn connections(tree: &Node, found: &mut Findings) -> IndexMap<String, Connection> {
    let mut connections = IndexMap::new();
    for entry in tree.get("connections").map_or(&[][..], Node::entries) {
        let Some(kind) = entry.value.get("kind").and_then(|node| literal::text(node, found)) else { continue };
        let stand_in = entry.value.get("stand_in").map_or(&[][..], Node::items).iter();
        let own = |key: &str| !matches!(key, "kind" | "optional" | "stand_in");
        let fields = entry.value.entries().iter().filter(|field| own(&field.key.value));
        let connection = Connection {
            name: entry.key.clone(),
            kind,
            optional: matches!(entry.value.get("optional").map(|node| &node.tree), Some(Tree::Bool(true))),
            stand_in: stand_in.filter_map(|path| literal::text(path, found)).collect(),
            fields: fields.map(|field| (field.key.clone(), Form::parse(&field.value, found))).collect(),
        };
        connections.insert(entry.key.value.clone(), connection);
    }
    connections
}

fn retries(tree: &Node, found: &mut Findings) -> IndexMap<String, Policy> {
    let mut retries = IndexMap::new();
    for entry in tree.get("retries").map_or(&[][..], Node::entries) {
        if entry.key.value == policy::NONE {
            let finding = Diagnostic::error(Code::FIELD, entry.key.span, "a policy cannot be called `none`");
            found.push(finding.help("`retry: none` switches the default policy off"));
            continue;
        }
        if let Some(retry) = policy::policy(&entry.value, found) {
            retries.insert(entry.key.value.clone(), Policy { name: entry.key.clone(), retry });
        }
    }
    retries
}

fn config(tree: &Node, found: &mut Findings) -> IndexMap<String, ConfigValue> {
    let mut config = IndexMap::new();
    for entry in tree.get("config").map_or(&[][..], Node::entries) {
        let name = entry.key.clone();
        if literal::check_name(&name.value).is_err() {
            let finding = Diagnostic::error(
                Code::FIELD,
                name.span,
                format!("`{}` is not a name that expressions can use", name.value),
            );
            found.push(finding.help("use letters, digits and `_`"));
            continue;
        }
        let (ty, default) = match &entry.value.tree {
            Tree::Map(_) => match entry.value.get("type") {
                Some(ty) => (ty, entry.value.get("default")),
                None => continue,
            },
            _ => (&entry.value, None),
        };
        let ty = Type::parse(ty, Code::EVENT, found);
        let default = default.and_then(|node| default_value(node, &ty, found));
        config.insert(name.value.clone(), ConfigValue { name, ty, default });
    }
    config
}

fn default_value(node: &Node, ty: &Type, found: &mut Findings) -> Option<Value> {
    match ty.accept(&node.to_json()) {
        Ok(value) => Some(value),
        Err(mismatches) => {
            for mismatch in mismatches {
                let place = node.at(&mismatch.pointer).map_or(node.span, |part| part.span);
                let message = format!("the default does not fit: {}", mismatch.message);
                found.push(Diagnostic::error(Code::FIELD, place, message));
            }
            None
        }
    }
}

fn webhooks(tree: &Node, found: &mut Findings) -> IndexMap<String, Webhook> {
    let mut webhooks = IndexMap::new();
    for entry in tree.get("webhooks").map_or(&[][..], Node::entries) {
        let mut form = |key: &str| entry.value.get(key).map(|node| Form::parse(node, found));
        let (event, secret, data, public_url) = (form("event"), form("secret"), form("data"), form("public_url"));
        let verify: Option<Spanned<String>> = entry.value.get("verify").and_then(|node| literal::text(node, found));
        if let (Some(event), Some(verify)) = (event, verify) {
            let source = entry.key.clone();
            webhooks.insert(entry.key.value.clone(), Webhook { source, verify, secret, event, data, public_url });
        }
    }
    webhooks
}
