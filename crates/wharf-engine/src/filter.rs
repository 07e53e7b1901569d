//! Filters: `name=value`, several values of one name are alternatives, as Docker has them.

use std::collections::BTreeMap;

/// The filters of one request, by name, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Adds one.
    pub fn add(&mut self, name: &str, value: &str) {
        self.0
            .entry(name.to_owned())
            .or_default()
            .push(value.to_owned());
    }

    /// Notes that a name was given, if only without a value.
    pub fn mention(&mut self, name: &str) {
        self.0.entry(name.to_owned()).or_default();
    }

    /// The values of one name; empty if it was not given.
    pub fn get(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Was this name given?
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names that were given.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
