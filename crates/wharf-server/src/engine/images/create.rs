//! `POST /images/create`: a pull, or an import.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use wharf_core::platform::PlatformError;
use wharf_core::{Platform, Reference};
use wharf_engine::{ImportInput, ImportOptions, PullOptions, check_pull_name, words};

use super::labels;
use crate::engine::answer::{Failure, Result};
use crate::engine::progress::{Lines, What, run};
use crate::engine::query::{Query, name_and_tag, new_name};
use crate::engine::version::ApiVersion;
use crate::engine::{Api, auth, body};

pub(in crate::engine) async fn post(
    api: &Arc<Api>,
    version: &ApiVersion,
    query: &Query,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response> {
    let platform = match query.given("platform") {
        Some(text) if !version.is_before(32) => {
            let parsed = text.parse::<Platform>();
            Some(parsed.map_err(|error: PlatformError| Failure::bad(error.to_string()))?)
        }
        _ => None,
    };
    match query.given("fromImage") {
        Some(name) => {
            // `pull -a` of old clients sends a colon with nothing behind it.
            let name = name.strip_suffix(':').unwrap_or(name);
            let reference = name_and_tag(name, query.get("tag"))?;
            check_pull_name(&reference)?;
            let options = PullOptions {
                platform,
                whose: auth::whose(headers, &reference),
            };
            pull(Arc::clone(api), reference, options).await
        }
        None => import(Arc::clone(api), query, platform, body).await,
    }
}

async fn pull(api: Arc<Api>, reference: Reference, options: PullOptions) -> Result<Response> {
    let place = api.operation()?;
    let lines = Lines::new(What::Pull, Arc::clone(&api.metrics));
    let to = Arc::clone(&lines);
    run(lines, async move {
        let _place = place;
        let done = if reference.is_name_only() {
            pull_tags(&api, &reference, &options, &to).await
        } else {
            pull_one(&api, &reference, &options, &to).await
        };
        api.metrics.pulled(done.is_ok());
        let Brought {
            newer,
            other_platform,
        } = done.map_err(as_not_found)?;
        to.status(None, &words::status(&reference, newer));
        if let (Some(has), Some(wanted)) = (&other_platform, &options.platform) {
            to.status(None, &words::other_platform(&reference, has, wanted));
        }
        let shown = reference.familiar();
        let attributes = labels(&api, &shown).await;
        let repository = reference.familiar_repository();
        api.events.tell("pull", &shown, attributes, repository);
        Ok(())
    })
    .await
}

/// To Docker, what somebody may not pull is not there (28.5: `translatePullError`). Wrong credentials are another
/// matter.
fn as_not_found(mut failure: Failure) -> Failure {
    if failure.status == StatusCode::FORBIDDEN {
        failure.status = StatusCode::NOT_FOUND;
    }
    failure
}

/// What a pull has brought, of one tag or of several.
#[derive(Default)]
struct Brought {
    /// Was anything new?
    newer: bool,
    /// The image's platform, where another one was asked for.
    other_platform: Option<Platform>,
}

async fn pull_one(
    api: &Api,
    reference: &Reference,
    options: &PullOptions,
    lines: &Arc<Lines>,
) -> Result<Brought> {
    let watch = Arc::clone(lines);
    let pulled = api.engine.pull(reference, options, watch).await?;
    lines.status(None, &words::digest(&pulled.digest));
    Ok(Brought {
        newer: pulled.newer,
        other_platform: pulled.other_platform,
    })
}

/// Without a tag, all of them are meant (Docker 28.5: pull).
async fn pull_tags(
    api: &Api,
    repository: &Reference,
    options: &PullOptions,
    lines: &Arc<Lines>,
) -> Result<Brought> {
    let mut all = Brought::default();
    for tag in api.engine.remote_tags(repository, &options.whose).await? {
        let reference = repository.with_tag(&tag).map_err(|error| {
            let message = format!("the registry lists a tag that is none, {tag:?}: {error}");
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message)
        })?;
        let one = pull_one(api, &reference, options, lines).await?;
        all.newer |= one.newer;
        all.other_platform = all.other_platform.or(one.other_platform);
    }
    Ok(all)
}

async fn import(
    api: Arc<Api>,
    query: &Query,
    platform: Option<Platform>,
    body: Body,
) -> Result<Response> {
    let reference = new_name(query.get("repo"), query.get("tag"))?;
    let source = query.get("fromSrc");
    let input = if source == "-" {
        ImportInput::Stream(Box::new(body::reader(body, api.archive().await?)))
    } else if source.contains("://") {
        ImportInput::Url(source.to_owned())
    } else {
        ImportInput::Url(format!("http://{source}"))
    };
    let options = ImportOptions {
        reference,
        changes: query.all("changes").map(str::to_owned).collect(),
        message: query.get("message").to_owned(),
        platform,
    };
    let place = api.operation()?;
    let lines = Lines::new(What::Load { quiet: true }, Arc::clone(&api.metrics));
    let to = Arc::clone(&lines);
    run(lines, async move {
        let _place = place;
        let watch = Arc::clone(&to);
        let image = api.engine.import(input, &options, watch).await?;
        to.status(None, image.as_str());
        let id = image.as_str();
        let attributes = labels(&api, id).await;
        if let Some(name) = &options.reference {
            let name = name.familiar();
            api.events.tell("tag", id, attributes.clone(), &name);
        }
        api.events.tell("import", id, attributes, id);
        Ok(())
    })
    .await
}
