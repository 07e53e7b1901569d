//! `GET /images/search`

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use wharf_core::reference::DEFAULT_DOMAIN;
use wharf_engine::{Filters, Hit};

use crate::engine::answer::{Failure, Result, json};
use crate::engine::query::Query;
use crate::engine::{Api, auth, filters};

/// How many hits there are without a limit, and at most (Docker 28.5: registry search).
const LIMIT_DEFAULT: u32 = 25;
const LIMIT_MAX: u32 = 100;

/// One hit, in the API's order.
#[derive(Serialize)]
struct Found<'a> {
    star_count: u64,
    is_official: bool,
    name: &'a str,
    /// Docker Hub has none of these any more.
    is_automated: bool,
    description: &'a str,
}

pub(in crate::engine) async fn get(
    api: &Api,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Response> {
    let limit = match query.given("limit").map(str::parse::<u32>) {
        None | Some(Ok(0)) => LIMIT_DEFAULT,
        Some(Ok(limit)) if limit <= LIMIT_MAX => limit,
        Some(Ok(limit)) => {
            let message = format!("limit {limit} is outside the range of [1, {LIMIT_MAX}]");
            return Err(Failure::bad(message));
        }
        Some(Err(_)) => return Err(Failure::bad("invalid limit specified")),
    };
    let wanted = Wanted::parse(&filters::parse(query.get("filters"))?)?;
    let term = query.get("term");
    let registry = term.split_once('/').map(|(first, _)| first);
    let registry = registry.filter(|first| first.contains(['.', ':']) || *first == "localhost");
    let whose = auth::whose_at(headers, registry.unwrap_or(DEFAULT_DOMAIN));
    let _place = api.operation()?;
    let hits = api
        .engine
        .search(term, limit, &whose)
        .await
        .map_err(|error| {
            // Docker answers so to whatever a registry says to a search.
            Failure::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Failure::from(error).message,
            )
        })?;
    let found: Vec<Found<'_>> = hits
        .iter()
        .filter(|hit| wanted.fits(hit))
        .map(|hit| Found {
            star_count: hit.star_count,
            is_official: hit.is_official,
            name: &hit.name,
            is_automated: false,
            description: &hit.description,
        })
        .collect();
    Ok(json(StatusCode::OK, &found))
}

/// Which hits are wanted.
struct Wanted {
    official: Option<bool>,
    automated: bool,
    stars: u64,
}

impl Wanted {
    fn parse(filters: &Filters) -> Result<Self> {
        let invalid =
            |name: &str, value: &str| Failure::bad(format!("invalid filter '{name}=[{value}]'"));
        let mut wanted = Self {
            official: None,
            automated: false,
            stars: 0,
        };
        for name in filters.names() {
            let value = filters.get(name).first().map_or("", String::as_str);
            let truth = match value {
                "1" | "true" => Some(true),
                "0" | "false" => Some(false),
                _ => None,
            };
            match name {
                "is-official" => {
                    wanted.official = Some(truth.ok_or_else(|| invalid(name, value))?);
                }
                "is-automated" => {
                    wanted.automated = truth.ok_or_else(|| invalid(name, value))?;
                }
                "stars" => {
                    wanted.stars = value.parse().map_err(|_| invalid(name, value))?;
                }
                _ => return Err(Failure::bad(format!("invalid filter '{name}'"))),
            }
        }
        Ok(wanted)
    }

    fn fits(&self, hit: &Hit) -> bool {
        let official = self.official.is_none_or(|wanted| wanted == hit.is_official);
        official && !self.automated && hit.star_count >= self.stars
    }
}
