//! `POST /images/load`

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use wharf_engine::{LoadInput, LoadOptions, words};

use super::labels;
use crate::engine::answer::{Failure, Result};
use crate::engine::progress::{Lines, What, run};
use crate::engine::query::Query;
use crate::engine::version::ApiVersion;
use crate::engine::{Api, body};

pub(in crate::engine) async fn post(
    api: &Arc<Api>,
    version: &ApiVersion,
    query: &Query,
    body: Body,
) -> Result<Response> {
    let platform = if version.is_before(48) {
        None
    } else {
        query.platform("platform")?
    };
    let quiet = !query.has("quiet") || query.is("quiet");
    let input = LoadInput::Stream(Box::new(body::reader(body, api.archive().await?)));
    let lines = Lines::new(What::Load { quiet }, Arc::clone(&api.metrics));
    // Docker 28.5: `postImagesLoad`.
    lines.fail_in_a_line();
    let (api, to) = (Arc::clone(api), Arc::clone(&lines));
    run(lines, async move {
        let options = LoadOptions { platform };
        let watch = Arc::clone(&to);
        let loaded = api.engine.load(input, &options, watch).await;
        let loaded = loaded.map_err(|error| in_docker_s_words(Failure::from(error)))?;
        for line in words::loaded(&loaded) {
            to.text(&line);
        }
        for one in &loaded {
            let id = one.image.as_str();
            api.events.tell("load", id, labels(&api, id).await, id);
        }
        Ok(())
    })
    .await
}

/// Docker says no more than this of an archive that is none, and names files by the folder that it has unpacked
/// the archive into; programs know the errors by these words.
fn in_docker_s_words(mut failure: Failure) -> Failure {
    const NO_TAR: &str = "archive/tar: invalid tar header";
    const MISSING: &str = ": no such file or directory";
    let message = &failure.message;
    if message.starts_with(NO_TAR) {
        NO_TAR.clone_into(&mut failure.message);
    } else if let Some(file) = message.strip_prefix("open ")
        && file.ends_with(MISSING)
    {
        failure.message = format!("open /docker-import-0/{file}");
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_of_a_bad_archive_what_docker_says() {
        let words = |text: &str| in_docker_s_words(Failure::bad(text)).message;
        assert_eq!(
            words("archive/tar: invalid tar header: its checksum is wrong"),
            "archive/tar: invalid tar header"
        );
        assert_eq!(
            words("open repositories: no such file or directory"),
            "open /docker-import-0/repositories: no such file or directory"
        );
        assert_eq!(words("something else"), "something else");
    }
}
