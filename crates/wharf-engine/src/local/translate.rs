//! The places' errors, in the engine's kinds, with advice that fits where the content comes from.

use wharf_core::ContentError;
use wharf_core::content::digest_like;
use wharf_core::copy::CopyError;
use wharf_registry::{RegistryError, RegistryErrorKind};
use wharf_store::{StoreError, StoreErrorKind};

use crate::error::with_causes;
use crate::{EngineError, ErrorKind};

/// Where content comes from: what is wrong with it is put right there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A registry, or a mirror of one.
    Registry,
    /// A file or a folder: an archive of images, an OCI layout.
    File,
    /// The store.
    Store,
}

impl Origin {
    /// What to do about content that is not what its digest says, or is not there.
    const fn wrong_content(self) -> &'static str {
        match self {
            Self::Registry => {
                "the registry, a mirror or a proxy on the way damages what it sends; nothing was \
                 kept of it"
            }
            Self::File => {
                "the archive is damaged, or was not made whole; nothing was named, so make it once \
                 more where it comes from"
            }
            Self::Store => {
                "`wharf store check` says what is damaged; pulling the image again makes it whole"
            }
        }
    }

    /// What to do about a document whose bytes are right, or whose declared size is not that of its bytes.
    const fn wrong_document(self) -> &'static str {
        match self {
            Self::Registry => {
                "the image was published like that, so pulling it again will not help: its publisher \
                 has to build and push it again"
            }
            Self::File => {
                "the archive was made like that, so reading it again will not help; nothing of it \
                 was named"
            }
            Self::Store => "the image came here like that; nothing was sent of it",
        }
    }

    /// What to do about a layer whose bytes are right and make no sense.
    const fn wrong_layer(self) -> &'static str {
        match self {
            Self::Registry => {
                "the image was published like that, so pulling it again will not help; verify = \
                 \"digest\" takes it without reading its layers"
            }
            Self::File => {
                "the archive was made like that, so reading it again will not help; nothing of it \
                 was named"
            }
            Self::Store => "the image came here like that; nothing was sent of it",
        }
    }
}

impl From<RegistryError> for EngineError {
    fn from(error: RegistryError) -> Self {
        let kind = match error.kind() {
            RegistryErrorKind::Invalid => ErrorKind::Invalid,
            RegistryErrorKind::NotFound => ErrorKind::NotFound,
            RegistryErrorKind::Unauthorized => ErrorKind::Unauthorized,
            RegistryErrorKind::Forbidden => ErrorKind::Forbidden,
            RegistryErrorKind::RateLimited => ErrorKind::RateLimited,
            RegistryErrorKind::Unavailable => ErrorKind::Unavailable,
            RegistryErrorKind::Corrupt => ErrorKind::Corrupt,
        };
        let hint = error.hint();
        from_error(kind, error, hint)
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        let kind = match error.kind() {
            StoreErrorKind::Refused => ErrorKind::Forbidden,
            StoreErrorKind::Busy | StoreErrorKind::Full => ErrorKind::Unavailable,
            StoreErrorKind::Corrupt => ErrorKind::Corrupt,
            StoreErrorKind::Invalid => ErrorKind::Invalid,
            StoreErrorKind::Missing => ErrorKind::NotFound,
            StoreErrorKind::Io => ErrorKind::Internal,
        };
        let hint = error.hint();
        from_error(kind, error, hint)
    }
}

/// An error of a copy.
pub(super) fn copy(from: Origin) -> impl Fn(CopyError) -> EngineError {
    move |error| match error {
        CopyError::Content(error) => content(from)(error),
        CopyError::Manifest { .. } => {
            let hint = from.wrong_document().to_owned();
            from_error(ErrorKind::Corrupt, error, Some(hint))
        }
        error @ CopyError::TooDeep(_) => from_error(ErrorKind::Corrupt, error, None),
    }
}

/// A source's or a sink's error.
pub(super) fn content(from: Origin) -> impl Fn(ContentError) -> EngineError {
    move |error| {
        let (kind, hint) = match error {
            ContentError::Place(inner) => return place(inner),
            ContentError::Missing { .. } if from == Origin::Registry => (ErrorKind::NotFound, None),
            ContentError::Missing { .. } => (ErrorKind::NotFound, Some(from.wrong_content())),
            ContentError::Layer { .. } | ContentError::DiffId { .. } => {
                (ErrorKind::Corrupt, Some(from.wrong_layer()))
            }
            // Nothing was asked for: the descriptor declares 0 bytes.
            ContentError::Mismatch { ref actual, .. } if *actual == digest_like(actual, b"") => {
                (ErrorKind::Corrupt, Some(from.wrong_document()))
            }
            ContentError::Mismatch { .. } => (ErrorKind::Corrupt, Some(from.wrong_content())),
            // Only a wrong digest shows that something on the way has changed the bytes.
            ContentError::Size { .. }
            | ContentError::TooLarge { .. }
            | ContentError::Document { .. } => (ErrorKind::Corrupt, Some(from.wrong_document())),
        };
        from_error(kind, error, hint.map(str::to_owned))
    }
}

fn place(error: Box<dyn std::error::Error + Send + Sync>) -> EngineError {
    let error = match error.downcast::<RegistryError>() {
        Ok(error) => return (*error).into(),
        Err(error) => error,
    };
    match error.downcast::<StoreError>() {
        Ok(error) => (*error).into(),
        Err(error) => EngineError::new(ErrorKind::Internal, error.to_string()),
    }
}

/// Takes over an error's words, and its causes below them.
fn from_error(
    kind: ErrorKind,
    error: impl std::error::Error + Send + Sync + 'static,
    hint: Option<String>,
) -> EngineError {
    let text = with_causes(error.to_string(), error.source());
    let mut all = EngineError::new(kind, text);
    all.hint = hint;
    all
}
