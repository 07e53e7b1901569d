//! No document makes a reader panic, and what a pull takes of an image's config can be shown.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wharf_core::go_json::{self, Html};
use wharf_core::{ImageConfig, Manifest};

fuzz_target!(|raw: &[u8]| {
    let raw = Bytes::copy_from_slice(raw);
    // What Go's rules read, any value reads.
    let value = go_json::from_slice::<serde_json::Value>(&raw);
    if let Ok(manifest) = Manifest::parse("", raw.clone()) {
        assert!(value.is_ok());
        for child in manifest.children() {
            assert!(child.check_blob_size("child").is_ok());
        }
    }
    let Ok(config) = ImageConfig::parse(raw) else {
        return;
    };
    let value = value.expect("a config is JSON");
    assert!(value.is_object() || value.is_null());
    drop((config.created(), config.platform().to_string()));
    let shown = go_json::compact(&config.fields.config, Html::Escaped);
    // What is shown reads back as the same.
    let again: wharf_core::config::RunConfig =
        go_json::from_slice(shown.as_bytes()).expect("what is shown is JSON");
    assert_eq!(go_json::compact(&again, Html::Escaped), shown);
    let layers = config.fields.rootfs.diff_ids.len();
    assert_eq!(config.chain_ids().len(), layers);
    if config.check_history().is_ok() {
        let steps = config.fields.history.iter();
        assert!(steps.filter(|step| !step.empty_layer).count() <= layers);
    }
});
