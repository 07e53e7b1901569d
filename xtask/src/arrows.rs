//! The arrows between the workspace's crates: `{os, core} ← {store, registry, archive} ← engine ← server ← wharf`.
//!
//! [`RULES`] is the whole law. It covers what ends up in a program: normal and build dependencies.
//! In tests a crate may import whatever it likes; the testkit is for tests only, so nobody but
//! xtask imports it otherwise.

use std::fmt;

use anyhow::{Context as _, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Which crates of this workspace a crate may import. A crate that is missing here is refused, so
/// that whoever adds one decides where it stands.
const RULES: &[(&str, &[&str])] = &[
    ("wharf-os", &[]),
    ("wharf-core", &[]),
    ("wharf-store", &["wharf-os", "wharf-core"]),
    ("wharf-registry", &["wharf-os", "wharf-core"]),
    ("wharf-archive", &["wharf-os", "wharf-core"]),
    (
        "wharf-engine",
        &[
            "wharf-os",
            "wharf-core",
            "wharf-store",
            "wharf-registry",
            "wharf-archive",
        ],
    ),
    ("wharf-server", BELOW_SERVER),
    ("wharf", BELOW_WHARF),
    ("wharf-testkit", BELOW_WHARF),
    ("xtask", EVERYTHING),
];

const BELOW_SERVER: &[&str] = &[
    "wharf-os",
    "wharf-core",
    "wharf-store",
    "wharf-registry",
    "wharf-archive",
    "wharf-engine",
];

const BELOW_WHARF: &[&str] = &[
    "wharf-os",
    "wharf-core",
    "wharf-store",
    "wharf-registry",
    "wharf-archive",
    "wharf-engine",
    "wharf-server",
];

const EVERYTHING: &[&str] = &[
    "wharf-os",
    "wharf-core",
    "wharf-store",
    "wharf-registry",
    "wharf-archive",
    "wharf-engine",
    "wharf-server",
    "wharf-testkit",
];

/// One crate of the workspace imports another one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Edge {
    from: String,
    to: String,
}

/// An import that the rules do not know.
#[derive(Debug, PartialEq, Eq)]
enum Violation {
    /// The crate has a rule, and it does not name the other one.
    Forbidden(Edge),
    /// The crate has no rule.
    Unknown(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden(Edge { from, to }) => {
                let allowed = allowed(from).unwrap_or_default();
                let names = if allowed.is_empty() {
                    "nothing".into()
                } else {
                    allowed.join(", ")
                };
                write!(
                    f,
                    "{from} imports {to}; of this workspace it may import {names}"
                )
            }
            Self::Unknown(name) => {
                write!(f, "{name} has no rule; give it one in xtask/src/arrows.rs")
            }
        }
    }
}

/// Fails when an arrow of this workspace points the wrong way.
pub(crate) fn run() -> anyhow::Result<()> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .exec()
        .context("cannot read the workspace's crates with `cargo metadata`")?;
    let (crates, edges) = (crates(&metadata), edges(&metadata));
    let violations = violations(&crates, &edges);
    if violations.is_empty() {
        println!(
            "{} crates, {} arrows: all point the right way",
            crates.len(),
            edges.len()
        );
        return Ok(());
    }
    let lines: Vec<String> = violations.iter().map(|v| format!("  {v}")).collect();
    bail!(
        "arrows that point the wrong way (docs/architecture.md):\n{}",
        lines.join("\n")
    )
}

fn crates(metadata: &Metadata) -> Vec<String> {
    metadata
        .packages
        .iter()
        .map(|package| package.name.to_string())
        .collect()
}

fn edges(metadata: &Metadata) -> Vec<Edge> {
    let names = crates(metadata);
    let mut edges = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            if dependency.kind != DependencyKind::Development && names.contains(&dependency.name) {
                edges.push(Edge {
                    from: package.name.to_string(),
                    to: dependency.name.clone(),
                });
            }
        }
    }
    edges
}

fn violations(crates: &[String], edges: &[Edge]) -> Vec<Violation> {
    let unknown = crates
        .iter()
        .filter(|name| allowed(name).is_none())
        .cloned()
        .map(Violation::Unknown);
    let forbidden = edges
        .iter()
        .filter(|edge| allowed(&edge.from).is_some_and(|to| !to.contains(&edge.to.as_str())))
        .cloned()
        .map(Violation::Forbidden);
    unknown.chain(forbidden).collect()
}

fn allowed(name: &str) -> Option<&'static [&'static str]> {
    RULES
        .iter()
        .find(|(from, _)| *from == name)
        .map(|(_, to)| *to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str) -> Edge {
        Edge {
            from: from.into(),
            to: to.into(),
        }
    }

    fn refused(from: &str, to: &str) -> bool {
        let edges = [edge(from, to)];
        violations(&[from.into(), to.into()], &edges) == [Violation::Forbidden(edges[0].clone())]
    }

    #[test]
    fn this_workspace_keeps_its_arrows() {
        run().unwrap();
    }

    #[test]
    fn the_three_in_the_middle_never_import_each_other() {
        let middle = ["wharf-store", "wharf-registry", "wharf-archive"];
        for from in middle {
            for to in middle.iter().filter(|to| **to != from) {
                assert!(refused(from, to), "{from} → {to}");
            }
        }
    }

    #[test]
    fn nothing_imports_what_stands_above_it() {
        let order = [
            "wharf-core",
            "wharf-store",
            "wharf-engine",
            "wharf-server",
            "wharf",
            "xtask",
        ];
        for (i, from) in order.iter().enumerate() {
            for to in &order[i + 1..] {
                assert!(refused(from, to), "{from} → {to}");
            }
        }
    }

    #[test]
    fn the_testkit_is_for_xtask_and_tests_only() {
        for (from, _) in RULES.iter().filter(|(from, _)| *from != "xtask") {
            assert!(refused(from, "wharf-testkit"), "{from}");
        }
        assert!(!refused("xtask", "wharf-testkit"));
    }

    #[test]
    fn a_crate_without_a_rule_is_refused() {
        let found = violations(&["wharf-new".into()], &[]);
        assert_eq!(found, [Violation::Unknown("wharf-new".into())]);
    }

    #[test]
    fn the_message_names_the_edge_and_the_rule() {
        let text = Violation::Forbidden(edge("wharf-store", "wharf-registry")).to_string();
        assert_eq!(
            text,
            "wharf-store imports wharf-registry; of this workspace it may import wharf-os, wharf-core"
        );
        assert!(
            Violation::Unknown("x".into())
                .to_string()
                .contains("xtask/src/arrows.rs")
        );
    }
}
