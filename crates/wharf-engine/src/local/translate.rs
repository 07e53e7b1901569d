//! The places' errors, in the engine's kinds, with advice.

use wharf_core::ContentError;
use wharf_core::copy::CopyError;
use wharf_registry::{RegistryError, RegistryErrorKind};
use wharf_store::{StoreError, StoreErrorKind};

use crate::error::with_causes;
use crate::{EngineError, ErrorKind};

/// What to do about content that is wrong where it comes from.
const WRONG_CONTENT: &str =
    "the registry, a mirror or a proxy on the way damages what it sends; nothing was kept of it";

/// What to do about an image whose bytes are right and make no sense.
const WRONG_IMAGE: &str = "the image was published like that, so pulling it again will not help; \
                           verify = \"digest\" takes it without reading its layers";

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
        // Its words say what to do already.
        from_error(kind, error, None)
    }
}

/// A copy's error.
pub(super) fn copy(error: CopyError) -> EngineError {
    match error {
        CopyError::Content(error) => content(error),
        error => from_error(ErrorKind::Corrupt, error, None),
    }
}

/// A source's or a sink's error.
pub(super) fn content(error: ContentError) -> EngineError {
    match error {
        ContentError::Place(inner) => place(inner),
        ContentError::Missing { .. } => from_error(ErrorKind::NotFound, error, None),
        ContentError::Layer { .. } | ContentError::DiffId { .. } => {
            from_error(ErrorKind::Corrupt, error, Some(WRONG_IMAGE.to_owned()))
        }
        error => from_error(ErrorKind::Corrupt, error, Some(WRONG_CONTENT.to_owned())),
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
