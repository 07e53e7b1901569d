//! Lists of tags and of repositories, page by page (distribution-spec 1.1, "Listing Tags").

use axum::extract::Query;
use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::Registry;
use super::backend::Repository;
use super::blobs::header_value;
use super::errors::{Code, Failure, json};

/// Bounds a page of tags, in entries: about a megabyte of JSON. Clients that know no pages get
/// all tags of any sensible repository.
const TAGS_PAGE_MAX: usize = 10_000;

/// Bounds a page of repositories, in entries, as docker-registry does.
const CATALOG_PAGE_MAX: usize = 1000;

#[derive(Default, Deserialize)]
struct Parameters {
    n: Option<String>,
    last: Option<String>,
}

/// Which page is asked for.
struct Page {
    limit: usize,
    after: Option<String>,
}

#[derive(Serialize)]
struct TagList {
    name: String,
    tags: Vec<String>,
}

#[derive(Serialize)]
struct Catalog {
    repositories: Vec<String>,
}

pub(super) async fn list(
    registry: &Registry,
    repository: Repository,
    uri: &Uri,
) -> Result<Response, Failure> {
    let page = Page::read(uri, TAGS_PAGE_MAX)?;
    let (name, after, limit) = (repository.clone(), page.after, page.limit);
    // One more than the page has tells whether there is another page.
    let tags = registry
        .ask(move |b| b.tags(&name, after.as_deref(), limit + 1))
        .await?;
    let unknown = || Failure::new(Code::NameUnknown, "there is no such repository");
    let mut tags = tags.ok_or_else(unknown)?;
    let link = next(&mut tags, limit, &format!("/v2/{repository}/tags/list"))?;
    Ok(linked(
        json(&TagList {
            name: repository.to_string(),
            tags,
        })?,
        link,
    ))
}

pub(super) async fn catalog(registry: &Registry, uri: &Uri) -> Result<Response, Failure> {
    let Page { limit, after } = Page::read(uri, CATALOG_PAGE_MAX)?;
    let all = registry
        .ask(move |b| b.repositories(after.as_deref(), limit + 1))
        .await;
    let mut repositories = all?;
    let link = next(&mut repositories, limit, "/v2/_catalog")?;
    Ok(linked(json(&Catalog { repositories })?, link))
}

impl Page {
    fn read(uri: &Uri, max: usize) -> Result<Self, Failure> {
        let Query(parameters): Query<Parameters> = Query::try_from_uri(uri)
            .map_err(|error| Failure::new(Code::Unsupported, error.to_string()))?;
        let limit = match parameters.n.as_deref() {
            None | Some("") => max,
            Some(text) => text
                .parse::<u64>()
                .map_err(|_| {
                    Failure::new(
                        Code::PaginationNumberInvalid,
                        "n is not a number of entries",
                    )
                })
                .map(|n| usize::try_from(n).unwrap_or(max).min(max))?,
        };
        Ok(Self {
            limit,
            after: parameters.last.filter(|last| !last.is_empty()),
        })
    }
}

/// Cuts a list to its page, and names the next page if there is one.
fn next(
    entries: &mut Vec<String>,
    limit: usize,
    path: &str,
) -> Result<Option<HeaderValue>, Failure> {
    if entries.len() <= limit {
        return Ok(None);
    }
    entries.truncate(limit);
    // A page of none has no last entry to go on from.
    let Some(last) = entries.last() else {
        return Ok(None);
    };
    header_value(&format!("<{path}?last={last}&n={limit}>; rel=\"next\"")).map(Some)
}

fn linked(mut response: Response, link: Option<HeaderValue>) -> Response {
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}
