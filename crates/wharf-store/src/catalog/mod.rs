//! The catalog: the rows.

use std::ops::Deref;

use jiff::Timestamp;
use wharf_core::layer::LayerFacts;
use wharf_core::{Descriptor, Digest, Reference};

use crate::rows::{ImageRow, LayerRow, LinkKind, Listed, ManifestRow, Name};
use crate::{Result, StoreError};

/// One read transaction: everything that it says is of one moment.
pub struct Reading<'a> {
    _rows: std::marker::PhantomData<&'a ()>,
}

/// One write transaction. It reads as well.
pub struct Writing<'a> {
    reading: Reading<'a>,
}

impl<'a> Deref for Writing<'a> {
    type Target = Reading<'a>;

    fn deref(&self) -> &Self::Target {
        &self.reading
    }
}

#[expect(unused_variables, reason = "signatures first")]
impl Reading<'_> {
    /// What a name points to. `reference` has a tag.
    pub fn name(&self, reference: &Reference) -> Result<Option<Name>> {
        todo!()
    }
    /// The names of an image, sorted.
    pub fn names_of(&self, image: &Digest) -> Result<Vec<Name>> {
        todo!()
    }
    /// The names with digests of an image, sorted.
    pub fn repo_digests_of(&self, image: &Digest) -> Result<Vec<Reference>> {
        todo!()
    }
    /// The image that a name with a digest points to. `reference` has a digest; its tag is ignored.
    pub fn repo_digest(&self, reference: &Reference) -> Result<Option<Digest>> {
        todo!()
    }
    /// One image, by its whole ID.
    pub fn image(&self, id: &Digest) -> Result<Option<ImageRow>> {
        todo!()
    }
    /// Every image that is kept, with its names.
    pub fn images(&self) -> Result<Vec<Listed>> {
        todo!()
    }
    /// The kept images whose ID starts with these hex digits; at most two, enough to see that it's
    /// ambiguous.
    pub fn find_images(&self, hex_prefix: &str) -> Result<Vec<Digest>> {
        todo!()
    }
    /// The kept images that a manifest's or an index's digest leads to.
    pub fn find_manifest(&self, digest: &Digest) -> Result<Vec<Digest>> {
        todo!()
    }
    /// A manifest that is here.
    pub fn manifest(&self, digest: &Digest) -> Result<Option<ManifestRow>> {
        todo!()
    }
    /// An image's layers, the base first.
    pub fn layers(&self, image: &Digest) -> Result<Vec<LayerRow>> {
        todo!()
    }
    /// The layers that no other kept image has, the base first.
    pub fn own_layers(&self, image: &Digest) -> Result<Vec<LayerRow>> {
        todo!()
    }
    /// What is known of a layer, by its blob.
    pub fn layer_facts(&self, blob: &Digest) -> Result<Option<LayerFacts>> {
        todo!()
    }
    /// A blob's size, if it's here.
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>> {
        todo!()
    }
    /// Does the repository link to the digest as this kind?
    pub fn is_linked(&self, repository: &str, digest: &Digest, kind: LinkKind) -> Result<bool> {
        todo!()
    }
    /// Some repository's tags after `after`, sorted, at most `limit`.
    pub fn tags(&self, repository: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        todo!()
    }
    /// The repositories (those with names or links) after `after`, sorted, at most `limit`.
    pub fn repositories(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        todo!()
    }
    /// The manifests that the repository links to and that are about `subject`, with their artifact
    /// types and annotations.
    pub fn referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<Descriptor>> {
        todo!()
    }
}

#[expect(unused_variables, reason = "signatures first")]
impl Writing<'_> {
    /// Points a name (with a tag) to a manifest that is here and, for an image, to the image.
    /// The image is kept from now on. Returns what the name pointed to before.
    pub fn set_name(
        &mut self,
        reference: &Reference,
        target: &Digest,
        image: Option<&Digest>,
    ) -> Result<Option<Name>> {
        todo!()
    }
    /// Removes a name (with a tag). The image stays, without it.
    pub fn remove_name(&mut self, reference: &Reference) -> Result<Option<Name>> {
        todo!()
    }
    /// Says that a name was used now.
    pub fn mark_used(&mut self, reference: &Reference) -> Result<()> {
        todo!()
    }
    /// Says that `reference` (with a digest, its tag ignored) is how a registry names the image.
    /// The image is kept from now on.
    pub fn set_repo_digest(&mut self, reference: &Reference, image: &Digest) -> Result<()> {
        todo!()
    }
    /// Forgets that. Was it known?
    pub fn remove_repo_digest(&mut self, reference: &Reference) -> Result<bool> {
        todo!()
    }
    /// Keeps an image that has no name yet, so that it's listed and not collected.
    pub fn keep_image(&mut self, id: &Digest) -> Result<()> {
        todo!()
    }
    /// Removes an image, with the names and repo digests that it has left. Its blobs go when the
    /// transaction commits, unless something else needs them. Was it here?
    pub fn remove_image(&mut self, id: &Digest) -> Result<bool> {
        todo!()
    }
    /// Links a repository of the registry server to content that is here.
    pub fn link(&mut self, repository: &str, digest: &Digest, kind: LinkKind) -> Result<()> {
        todo!()
    }
    /// Removes a link; what nothing else holds goes. Was it there?
    pub fn unlink(&mut self, repository: &str, digest: &Digest, kind: LinkKind) -> Result<bool> {
        todo!()
    }
    /// Removes every tag of the repository that points to `target`.
    pub fn untag_all(&mut self, repository: &str, target: &Digest) -> Result<Vec<String>> {
        todo!()
    }
}
