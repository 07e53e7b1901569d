//! Which manifest of a name is sent.
//!
//! The whole index goes if all that it lists is here, or is in the target repository already: the
//! name then points to the same bytes there as here. Else only the image that is here goes, and the
//! user is told (Docker 28.5, containerd store).

use wharf_core::manifest::{Index, Kind};
use wharf_core::{Digest, Event, Manifest, Platform};
use wharf_store::{ManifestRow, Name};

use super::{Plan, Pusher};
use crate::local::find::platform_of;
use crate::{EngineError, ErrorKind, Result};

impl Pusher<'_> {
    pub(super) async fn choose(&self, name: &Name, row: &ManifestRow) -> Result<Plan> {
        let root = self.manifest(row)?;
        let Kind::Index(index) = &root.kind else {
            self.check_platform(name)?;
            return Ok(whole(root));
        };
        let mut here = Vec::new();
        for child in row.children.iter().filter(|child| child.here) {
            if self.is_complete(&child.digest)? {
                here.push(child.digest.clone());
            }
        }
        if let Some(wanted) = &self.options.platform {
            return self.of_platform(name, index, &here, wanted);
        }
        let mut missing = index
            .manifests
            .iter()
            .filter(|child| !here.contains(&child.digest));
        let lacking = loop {
            match missing.next() {
                Some(child) if self.sink.has_manifest(&child.digest).await? => {}
                found => break found,
            }
        };
        if lacking.is_none() {
            return Ok(Plan { root, here });
        }
        let shown = row
            .children
            .iter()
            .find(|child| child.image.is_some() && child.image == name.image);
        let shown = shown.or_else(|| row.children.iter().find(|child| child.image.is_some()));
        let Some(shown) = shown.filter(|child| here.contains(&child.digest)) else {
            return Err(super::damaged(&name.target));
        };
        self.watch.event(Event::Notice(format!(
            "Not all multiplatform-content is present and only the available single-platform image \
             was pushed: {} -> {}",
            name.target, shown.digest
        )));
        Ok(whole(self.manifest(&self.row(&shown.digest)?)?))
    }

    /// An index is complete with its children, an image with its parts.
    fn is_complete(&self, digest: &Digest) -> Result<bool> {
        let row = self
            .store
            .read(|rows| Ok::<_, EngineError>(rows.manifest(digest)?))?;
        Ok(row.is_some_and(|row| row.complete && row.children.iter().all(|child| child.here)))
    }

    fn of_platform(
        &self,
        name: &Name,
        index: &Index,
        here: &[Digest],
        wanted: &Platform,
    ) -> Result<Plan> {
        let fits = |has: &Platform| wanted.can_run(has);
        let chosen = index
            .images()
            .filter(|child| here.contains(&child.digest))
            .find(|child| child.platform.as_ref().is_some_and(fits));
        match chosen {
            Some(child) => Ok(whole(self.manifest(&self.row(&child.digest)?)?)),
            None => Err(not_here(name, wanted)),
        }
    }

    /// An image without an index is for one platform only.
    fn check_platform(&self, name: &Name) -> Result<()> {
        let (Some(wanted), Some(image)) = (&self.options.platform, &name.image) else {
            return Ok(());
        };
        let row = self
            .store
            .read(|rows| Ok::<_, EngineError>(rows.image(image)?))?;
        let Some(row) = row else { return Ok(()) };
        let has = platform_of(&row);
        if wanted.can_run(&has) {
            return Ok(());
        }
        Err(not_here(name, wanted).hint(format!("the image is for {has}")))
    }
}

fn whole(root: Manifest) -> Plan {
    Plan {
        root,
        here: Vec::new(),
    }
}

/// Docker's words (28.5: containerd image service).
fn not_here(name: &Name, wanted: &Platform) -> EngineError {
    let message = format!(
        "image with reference {} was found but does not provide the specified platform ({wanted})",
        name.reference.familiar()
    );
    EngineError::new(ErrorKind::NotFound, message)
}
