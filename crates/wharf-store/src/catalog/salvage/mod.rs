//! Reads what can be read of a damaged database. What stands in no blob is only there.
//!
//! SQLite gives up at the first page that makes no sense, and at once where the header is destroyed. So the file is
//! read page by page ([`pages`], [`cells`], [`trees`]). Pages have no checksums, and damage may have changed a row so
//! that it still can be read. But nearly everything stands in a database twice: in its table, and in the indexes over
//! it. So rows count as evidence ([`evidence`]): what two places say is true, what one place says counts only where the
//! other one was destroyed, and where two places differ, the blobs decide or nothing is restored.

mod cells;
mod evidence;
mod pages;
mod trees;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use wharf_core::layer::LayerFacts;
use wharf_core::{Digest, Reference};

use self::evidence::Evidence;
use self::pages::Pages;
use self::trees::Trees;
use crate::rows::{LinkKind, Name};

/// How deep indexes in indexes are followed.
const DEPTH_MAX: usize = 8;

/// What could be read.
#[derive(Debug, Default)]
pub(crate) struct Salvage {
    pub(crate) names: Vec<Name>,
    pub(crate) repo_digests: Vec<(Reference, Digest)>,
    pub(crate) links: Vec<(String, Digest, LinkKind)>,
    pub(crate) facts: Vec<(Digest, LayerFacts)>,
    /// Which images are kept; `None` if that is not known of each.
    pub(crate) kept: Option<HashSet<Digest>>,
    /// Names that were found and are not restored, since it is not sure what they pointed to.
    pub(crate) unclear: Vec<String>,
    /// What could not be read to the end, in an operator's words.
    pub(crate) lost: Vec<&'static str>,
}

/// What the blobs say: whatever a row says is compared with it.
#[derive(Default)]
pub(crate) struct Known {
    /// The blobs that are sound.
    pub(crate) blobs: HashSet<Digest>,
    /// What each manifest among them shows.
    pub(crate) manifests: HashMap<Digest, Shows>,
    /// The diff IDs of layers, as configs have them.
    pub(crate) diff_ids: HashMap<Digest, Digest>,
}

/// What a manifest shows.
pub(crate) enum Shows {
    /// The image with this config.
    Image(Digest),
    /// What these manifests show.
    Index(Vec<Digest>),
    /// No image.
    Artifact,
}

impl Known {
    /// Returns whether a name that points to `target` may show `image`.
    fn fits(&self, target: &Digest, image: Option<&Digest>) -> bool {
        image.is_none_or(|image| self.may_show(target, image, DEPTH_MAX))
    }

    /// The image that a manifest shows, unless it is an index or not here.
    fn only_image(&self, target: &Digest) -> Option<&Digest> {
        match self.manifests.get(target)? {
            Shows::Image(config) => Some(config),
            Shows::Index(_) | Shows::Artifact => None,
        }
    }

    fn is_artifact(&self, target: &Digest) -> bool {
        matches!(self.manifests.get(target), Some(Shows::Artifact))
    }

    fn may_show(&self, target: &Digest, image: &Digest, depth: usize) -> bool {
        match self.manifests.get(target) {
            // It is not here, so that nothing can be said.
            None => true,
            Some(Shows::Image(config)) => config == image,
            Some(Shows::Artifact) => false,
            Some(Shows::Index(children)) => {
                let mut here = children
                    .iter()
                    .filter(|child| self.manifests.contains_key(child));
                depth > 0 && here.any(|child| self.may_show(child, image, depth - 1))
            }
        }
    }
}

/// Reads what can be read of a damaged database and its log.
pub(crate) fn salvage(path: &Path, known: &Known) -> Salvage {
    let pages = Pages::open(path);
    let trees = Trees::read(&pages);
    let mut salvage = Evidence::new(&trees, known).judge();
    if pages.log_is_damaged {
        salvage.lost.push("changes in the log");
    }
    salvage
}
