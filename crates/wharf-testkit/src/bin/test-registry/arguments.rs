//! Arguments: few enough to be read without a library.

use std::fmt::Display;
use std::str::FromStr;

/// The words that nobody has taken yet.
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    pub(crate) fn new(words: impl Iterator<Item = String>) -> Self {
        Self(words.collect())
    }

    /// Is the flag there? It is taken.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let at = self.0.iter().position(|word| word == name);
        at.map(|at| self.0.remove(at)).is_some()
    }

    /// The word behind the first option of this name. Both are taken.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>, String> {
        let Some(at) = self.0.iter().position(|word| word == name) else {
            return Ok(None);
        };
        self.0.remove(at);
        if at < self.0.len() {
            Ok(Some(self.0.remove(at)))
        } else {
            Err(format!("{name} needs a value"))
        }
    }

    pub(crate) fn parsed<T>(&mut self, name: &str) -> Result<Option<T>, String>
    where
        T: FromStr,
        T::Err: Display,
    {
        let value = self.value(name)?;
        value
            .map(|text| text.parse().map_err(|e| format!("{name} {text}: {e}")))
            .transpose()
    }

    /// `USER:PASSWORD`
    pub(crate) fn pair(&mut self, name: &str) -> Result<Option<(String, String)>, String> {
        let Some(text) = self.value(name)? else {
            return Ok(None);
        };
        let pair = text
            .split_once(':')
            .ok_or_else(|| format!("{name} needs USER:PASSWORD"))?;
        Ok(Some((pair.0.to_owned(), pair.1.to_owned())))
    }

    /// Everything must have been taken.
    pub(crate) fn finish(self) -> Result<(), String> {
        match self.0.first() {
            Some(word) => Err(format!("{word} is not known")),
            None => Ok(()),
        }
    }
}
