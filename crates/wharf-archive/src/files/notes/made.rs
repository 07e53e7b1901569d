//! Layers made on the spot, for tests.

use std::sync::Arc;

use super::{ENTRY_LEN, FOLDER, FOLDER_LEN, Layer, MAGIC, field};
use crate::files::Kind;

/// An entry.
#[derive(Clone, Debug)]
pub(in crate::files) struct Made {
    pub(in crate::files) name: String,
    pub(in crate::files) kind: Kind,
    pub(in crate::files) link: String,
    pub(in crate::files) offset: u64,
}

/// A layer of some entries.
pub(in crate::files) fn layer(entries: &[Made]) -> Arc<Layer> {
    let mut bytes = MAGIC.to_vec();
    let length = |text: &str| u32::try_from(text.len()).unwrap().to_le_bytes();
    let mut last = None;
    for entry in entries {
        let name = entry.name.trim_end_matches('/');
        let (above, base) = name.split_at(name.rfind('/').map_or(0, |at| at + 1));
        if last != Some(above) {
            last = Some(above);
            let mut record = [0; FOLDER_LEN];
            record[field::KIND] = FOLDER;
            record[field::NAME..].copy_from_slice(&length(above));
            bytes.extend(record);
            bytes.extend(above.as_bytes());
        }
        let mut record = [0; ENTRY_LEN];
        record[field::KIND] = super::write::number_of(entry.kind);
        record[field::NAME..field::LINK].copy_from_slice(&length(base));
        record[field::LINK..field::XATTRS].copy_from_slice(&length(&entry.link));
        record[field::OFFSET..field::HASH].copy_from_slice(&entry.offset.to_le_bytes());
        bytes.extend(record);
        bytes.extend(base.as_bytes());
        bytes.extend(entry.link.as_bytes());
    }
    Arc::new(Layer::over(bytes).unwrap())
}
