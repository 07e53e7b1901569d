//! Rows whose fields are texts: most lists have no others.

use gotmpl::Value;

use super::listing;
use super::template::Record;

/// A row: each column's field, header and text.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    headers: &'static [(&'static str, &'static str)],
    texts: Vec<String>,
}

impl Columns {
    /// A row with a text for each of `headers`, in their order.
    pub(crate) const fn new(
        headers: &'static [(&'static str, &'static str)],
        texts: Vec<String>,
    ) -> Self {
        Self { headers, texts }
    }

    fn text(&self, name: &str) -> Option<String> {
        let place = self.headers.iter().position(|(field, _)| *field == name)?;
        self.texts.get(place).cloned()
    }
}

impl Record for Columns {
    const TYPE: &'static str = "row";

    fn field(&self, name: &str) -> Option<Value> {
        self.text(name).map(|text| Value::String(text.into()))
    }

    fn json(&self) -> String {
        listing::row_json(self.headers, |name| self.text(name))
    }
}
