//! A small image, made on the spot and pushed into a registry.

use std::error::Error;

use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::json;
use wharf_archive::write::{Entry, layer};
use wharf_core::{Descriptor, Manifest, Platform, Reference};
use wharf_server::registry::Backend;
use wharf_server::registry::backend::{NewManifest, Repository};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// When the image says that it was made: when the real one was.
const CREATED: &str = "2024-09-26T21:31:42Z";

const README: &str = "This image was made by `wharf demo`, because Docker Hub did not answer.\n";
const HELLO: &str = "#!/bin/sh\necho hello from wharf\n";

/// Pushes an image to `backend`, under the name that Docker Hub knows as `name`.
pub(super) async fn push(backend: &dyn Backend, name: &str) -> Result<(), Box<dyn Error>> {
    let reference: Reference = name.parse()?;
    let repository: Repository = reference.path().parse()?;
    let entries = [
        Entry::Folder("bin/"),
        Entry::Program("bin/hello", HELLO.as_bytes()),
        Entry::Symlink("bin/sh", "busybox"),
        Entry::Folder("etc/"),
        Entry::File("etc/readme", README.as_bytes()),
    ];
    let layer = layer(&entries)?;
    let platform = Platform::of_this_machine();
    let config = json!({
        "architecture": platform.architecture,
        "os": platform.os,
        "created": CREATED,
        "config": { "Cmd": ["/bin/hello"], "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [layer.facts.diff_id] },
        "history": [{ "created": CREATED, "created_by": "wharf demo" }],
    });
    let config = blob(backend, &repository, CONFIG, config.to_string().into()).await?;
    let layer = blob(backend, &repository, LAYER, layer.packed.into()).await?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
    });
    let manifest = Manifest::parse(MANIFEST, manifest.to_string().into())?;
    let tag = reference.tag().map(str::to_owned);
    let new = NewManifest {
        manifest,
        tag,
        referrer: None,
    };
    Ok(backend.put_manifest(&repository, &new).await?)
}

/// Pushes a blob, and describes it.
async fn blob(
    backend: &dyn Backend,
    repository: &Repository,
    media_type: &str,
    bytes: Bytes,
) -> Result<Descriptor, Box<dyn Error>> {
    let descriptor = Descriptor::of(media_type, &bytes);
    let upload = backend.begin_upload(repository)?;
    let body = futures_util::stream::iter([Ok(bytes)]).boxed();
    backend.append(repository, &upload, 0, body).await?;
    backend
        .finish_upload(repository, &upload, &descriptor.digest)
        .await?;
    Ok(descriptor)
}
