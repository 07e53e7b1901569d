//! Archives of images, byte for byte, and tampered with.

use std::io::Write as _;

use serde_json::{Value, json};
use tar::EntryType;
use wharf_core::Digest;

/// An entry of an archive: its name, its kind, where it leads, its content.
pub(super) type Entry<'a> = (&'a str, EntryType, &'a str, &'a [u8]);

pub(super) const fn file<'a>(name: &'a str, content: &'a [u8]) -> Entry<'a> {
    (name, EntryType::Regular, "", content)
}

pub(super) fn header((name, kind, link, content): Entry<'_>) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    // Byte for byte: the library refuses the names that attacks are made of.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_cksum();
    header
}

pub(super) fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        out.extend_from_slice(header(*entry).as_bytes());
        out.extend_from_slice(entry.3);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// A layer's archive.
pub(super) fn layer() -> Vec<u8> {
    archive(&[file("etc/motd", b"hello\n")])
}

pub(super) fn config(diff_ids: &[Digest]) -> Vec<u8> {
    let config = json!({
        "os": "linux", "architecture": "amd64",
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    config.to_string().into_bytes()
}

/// A docker-archive of one layer, with further entries before its own.
pub(super) fn docker_archive(before: &[Entry<'_>], layer: &[u8], diff_id: Digest) -> Vec<u8> {
    named("hostile:1", before, layer, diff_id)
}

pub(super) fn named(name: &str, before: &[Entry<'_>], layer: &[u8], diff_id: Digest) -> Vec<u8> {
    let config = config(&[diff_id]);
    let manifest = json!([{
        "Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"],
    }]);
    let manifest = manifest.to_string();
    let mut entries = before.to_vec();
    entries.push(file("config.json", &config));
    entries.push(file("layer.tar", layer));
    entries.push(file("manifest.json", manifest.as_bytes()));
    archive(&entries)
}

/// What an OCI layout is made of, before somebody tampers with it.
pub(super) struct Layout {
    pub(super) manifest: Value,
    pub(super) config: Vec<u8>,
    pub(super) layer: Option<Vec<u8>>,
    pub(super) index: Value,
    /// Other bytes in the manifest's place.
    pub(super) instead: Option<Vec<u8>>,
    /// Further blobs.
    pub(super) more: Vec<Vec<u8>>,
}

impl Layout {
    /// Says something else of the manifest in index.json.
    pub(super) fn list(&mut self, field: &str, value: Value) {
        if let Some(listed) = self.index.pointer_mut("/manifests/0") {
            listed[field] = value;
        }
    }
}

/// A tar of an OCI layout, tampered with. The blobs keep the names that they had.
pub(super) fn layout(tamper: impl Fn(&mut Layout)) -> Vec<u8> {
    let (layer, config) = (layer(), config(&[Digest::of(&layer())]));
    let (layer_digest, config_digest) = (Digest::of(&layer), Digest::of(&config));
    let mut all = Layout {
        manifest: json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config_digest, "size": config.len(),
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": layer_digest, "size": layer.len(),
            }],
        }),
        config,
        layer: Some(layer),
        index: Value::Null,
        instead: None,
        more: Vec::new(),
    };
    tamper(&mut all);
    let raw = all.manifest.to_string().into_bytes();
    let digest = Digest::of(&raw);
    all.index = json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest, "size": raw.len(),
        "annotations": { "org.opencontainers.image.ref.name": "hostile:1" },
    }]});
    tamper(&mut all);
    let path = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let index = all.index.to_string();
    let names = [digest, config_digest, layer_digest].map(|digest| path(&digest));
    let mut entries = vec![
        file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#),
        file("index.json", index.as_bytes()),
        file(&names[0], all.instead.as_deref().unwrap_or(&raw)),
        file(&names[1], &all.config),
    ];
    if let Some(layer) = &all.layer {
        entries.push(file(&names[2], layer));
    }
    let more: Vec<_> = all.more.iter().map(|b| path(&Digest::of(b))).collect();
    entries.extend(
        more.iter()
            .zip(&all.more)
            .map(|(name, blob)| file(name, blob)),
    );
    archive(&entries)
}

/// 10 GB of zeros in 10 MB of gzip: one piece, again and again.
pub(super) fn bomb() -> Vec<u8> {
    let mut piece = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    piece.write_all(&vec![0; 64 << 20]).unwrap();
    piece.finish().unwrap().repeat(160)
}
