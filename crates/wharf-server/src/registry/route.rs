//! From a path to what is meant by it.
//!
//! Repository names contain `/` and any word that the paths contain, too: `a/blobs/b` is a
//! repository. So a path is read from its right end, where the words are fixed.

use wharf_core::Digest;
use wharf_core::reference::is_tag;

use super::backend::{Repository, Target, UploadId};
use super::errors::{Code, Failure};

/// What a request is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/`: is this a registry?
    Version,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/NAME/tags/list`
    Tags(Repository),
    /// `/v2/NAME/manifests/TAG-OR-DIGEST`
    Manifest(Repository, Reference),
    /// `/v2/NAME/blobs/DIGEST`
    Blob(Repository, Digest),
    /// `/v2/NAME/blobs/uploads/`
    Uploads(Repository),
    /// `/v2/NAME/blobs/uploads/ID`
    Upload(Repository, UploadId),
    /// `/v2/NAME/referrers/DIGEST`
    Referrers(Repository, Digest),
}

/// The last part of a manifest's path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// A tag or a digest.
    Target(Target),
    /// Neither: nothing has this name, and nothing can be stored under it.
    NotATag,
}

impl Route {
    pub(super) fn parse(path: &str) -> Result<Self, Failure> {
        let path = percent_decode(path).ok_or_else(not_found)?;
        let Some(rest) = path.strip_prefix("/v2") else {
            return Err(not_found());
        };
        match rest {
            "" | "/" => return Ok(Self::Version),
            "/_catalog" => return Ok(Self::Catalog),
            _ => {}
        }
        let rest = rest.strip_prefix('/').ok_or_else(not_found)?;
        let (rest, last) = rest.rsplit_once('/').ok_or_else(not_found)?;
        let (name, word) = rest.rsplit_once('/').ok_or_else(not_found)?;
        match (word, last) {
            ("tags", "list") => Ok(Self::Tags(name.parse()?)),
            ("manifests", reference) => Self::manifest(name, reference),
            ("referrers", digest) => Ok(Self::Referrers(name.parse()?, digest.parse()?)),
            ("blobs", "uploads") => Ok(Self::Uploads(name.parse()?)),
            ("blobs", digest) => Ok(Self::Blob(name.parse()?, digest.parse()?)),
            ("uploads", id) => {
                let (name, word) = name.rsplit_once('/').ok_or_else(not_found)?;
                match (word, id) {
                    ("blobs", "") => Ok(Self::Uploads(name.parse()?)),
                    ("blobs", id) => Ok(Self::Upload(name.parse()?, id.parse()?)),
                    _ => Err(not_found()),
                }
            }
            _ => Err(not_found()),
        }
    }

    fn manifest(name: &str, reference: &str) -> Result<Self, Failure> {
        let reference = if reference.contains(':') {
            Reference::Target(Target::Digest(reference.parse()?))
        } else if is_tag(reference) {
            Reference::Target(Target::Tag(reference.to_owned()))
        } else {
            Reference::NotATag
        };
        Ok(Self::Manifest(name.parse()?, reference))
    }
}

fn not_found() -> Failure {
    let failure = Failure::new(Code::Unsupported, "there is nothing at this path");
    failure.with_status(axum::http::StatusCode::NOT_FOUND)
}

/// Some clients write a digest's colon as `%3A`.
fn percent_decode(path: &str) -> Option<String> {
    if !path.contains('%') {
        return Some(path.to_owned());
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (hex, tail) = rest.split_at_checked(2)?;
        if !hex.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        bytes.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn name(text: &str) -> Repository {
        text.parse().unwrap()
    }

    #[test]
    fn reads_a_path_from_its_right_end() {
        let tag = || Reference::Target(Target::Tag("list".into()));
        for (path, expected) in [
            ("/v2/", Route::Version),
            ("/v2", Route::Version),
            ("/v2/_catalog", Route::Catalog),
            ("/v2/a/tags/list", Route::Tags(name("a"))),
            (
                "/v2/a/tags/list/tags/list",
                Route::Tags(name("a/tags/list")),
            ),
            ("/v2/a/manifests/list", Route::Manifest(name("a"), tag())),
            (
                "/v2/manifests/manifests/list",
                Route::Manifest(name("manifests"), tag()),
            ),
            ("/v2/a/blobs/uploads", Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads/", Route::Uploads(name("a"))),
            (
                "/v2/a/blobs/uploads/blobs/uploads/",
                Route::Uploads(name("a/blobs/uploads")),
            ),
            (
                "/v2/a/blobs/uploads/12-ab",
                Route::Upload(name("a"), "12-ab".parse().unwrap()),
            ),
            (
                "/v2/a/manifests/.bad",
                Route::Manifest(name("a"), Reference::NotATag),
            ),
        ] {
            assert_eq!(Route::parse(path).unwrap(), expected, "{path}");
        }
        let blob = || Route::Blob(name("a/b"), DIGEST.parse().unwrap());
        assert_eq!(
            Route::parse(&format!("/v2/a/b/blobs/{DIGEST}")).unwrap(),
            blob()
        );
        let escaped = DIGEST.replace(':', "%3A");
        assert_eq!(
            Route::parse(&format!("/v2/a/b/blobs/{escaped}")).unwrap(),
            blob()
        );
    }

    proptest! {
        /// Whatever a path says, the parts that come out of it are safe in files' names.
        #[test]
        fn never_panics_and_never_lets_a_traversal_through(
            path in "/v2/[a-z%0-9A-F./_-]{0,40}(/blobs/uploads/|/manifests/|/blobs/|/tags/)?\\PC{0,80}"
        ) {
            let Ok(route) = Route::parse(&path) else { return Ok(()) };
            let text = format!("{route:?}");
            prop_assert!(!text.contains("..") && !text.contains('\\'), "{path} {text}");
        }

        #[test]
        fn finds_any_repository(name in "[a-z0-9]{1,9}([._-][a-z0-9]{1,9}){0,2}(/[a-z0-9]{1,9}){0,3}") {
            let path = format!("/v2/{name}/tags/list");
            prop_assert_eq!(Route::parse(&path).unwrap(), Route::Tags(name.parse().unwrap()));
        }
    }

    #[test]
    fn refuses_what_could_leave_its_repository() {
        let upload = |id: &str| format!("/v2/a/blobs/uploads/{id}");
        for path in [
            "/",
            "/v1/",
            "/v2x",
            "/v2//tags/list",
            "/v2/../tags/list",
            "/v2/a/../b/tags/list",
            "/v2/A/tags/list",
            "/v2/a/blobs/sha256:abc",
            "/v2/a/blobs/../../etc",
            "/v2/a/manifests/sha256:abc",
            "/v2/a/referrers/tag",
            "/v2/a%",
            "/v2/a%zz/tags/list",
            "/v2/a/blobs/%ff",
            &upload("..%2f..%2fx"),
            &upload(".."),
            &upload("a%00"),
        ] {
            assert!(Route::parse(path).is_err(), "{path}");
        }
    }
}
