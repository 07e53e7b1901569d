//! Search: Docker Hub's, and that of registries which have the same endpoint (`/v1/search`).

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use wharf_core::event::Unwatched;
use wharf_core::go_json;

use crate::answer::{Topic, Whom, refusal};
use crate::auth::token::basic;
use crate::client::Client;
use crate::error::RegistryError;
use crate::exchange::{Outgoing, exchange};
use crate::login::Server;
use crate::redact;

/// Who answers for Docker Hub.
const HUB_INDEX: &str = "index.docker.io";

/// Bounds an answer, in bytes: a hundred entries with their descriptions.
const ANSWER_MAX: u64 = 4 * 1024 * 1024;

/// A repository that was found.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Hit {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// What it is, in one line or several.
    #[serde(default)]
    pub description: String,
    /// How many people like it.
    #[serde(default)]
    pub star_count: u64,
    /// Is it one of Docker's own?
    #[serde(default)]
    pub is_official: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    results: Vec<Hit>,
}

impl Client {
    /// Searches a registry for `term`: the one that the term names, or Docker Hub.
    pub(crate) async fn search(&self, term: &str, limit: u32) -> Result<Vec<Hit>, RegistryError> {
        let (domain, term) = split(term);
        let place = self.registry_place(domain.unwrap_or(HUB_INDEX))?;
        let mut url = self.root(&place).await?.clone();
        url.set_path("/v1/search");
        url.query_pairs_mut()
            .append_pair("q", term)
            .append_pair("n", &limit.to_string());
        let ask = |header| {
            let outgoing = Outgoing {
                headers: HeaderMap::new(),
                authorization: header,
                ..Outgoing::get(url.clone())
            };
            let (http, place) = (&self.http, &place);
            async move { exchange(http, Some(place), &outgoing).await }
        };
        let mut incoming = ask(None).await?;
        if incoming.response.status() == StatusCode::UNAUTHORIZED {
            let login = self.kept(&Server::new(domain), &Unwatched).await;
            if let Some(login) = login {
                let header = basic(&login.user, login.password());
                incoming = ask(Some(&header)).await?;
            }
        }
        match incoming.response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                return Err(RegistryError::NotFound {
                    what: format!("search at {}", place.name),
                    answer: "the registry has none".to_owned(),
                });
            }
            _ => {
                let whom = Whom {
                    place: &place.name,
                    repository: term,
                };
                return Err(refusal(&mut incoming, &Topic::Repository, whom).await);
            }
        }
        let body = incoming.body(ANSWER_MAX).await?;
        let answer: Answer = go_json::from_slice(&body).map_err(|_| RegistryError::Protocol {
            request: incoming.request.clone(),
            reason: "the answer is not that of a search".to_owned(),
        })?;
        // Strangers' words must not move the cursor.
        let clean = |mut hit: Hit| {
            hit.name = redact::foreign(&hit.name);
            hit.description = redact::foreign(&hit.description.replace(['\n', '\r'], " "));
            hit
        };
        Ok(answer.results.into_iter().map(clean).collect())
    }
}

/// The registry that a term begins with, if it does, and the rest.
fn split(term: &str) -> (Option<&str>, &str) {
    match term.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
            let hub = matches!(host, "docker.io" | HUB_INDEX);
            ((!hub).then_some(host), rest)
        }
        _ => (None, term),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_may_name_a_registry() {
        assert_eq!(split("busybox"), (None, "busybox"));
        assert_eq!(split("team/app"), (None, "team/app"));
        assert_eq!(split("docker.io/team/app"), (None, "team/app"));
        assert_eq!(split("127.0.0.1:5000/app"), (Some("127.0.0.1:5000"), "app"));
        assert_eq!(split("localhost/app"), (Some("localhost"), "app"));
    }
}
