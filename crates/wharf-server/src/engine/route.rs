//! From a method and a path to what is meant by them.
//!
//! Names of images contain slashes and colons, so what is asked of an image stands at the end of its path
//! (`/images/team/app:1/json`), and the most particular path counts: `/images/load` is no image's.

use axum::http::Method;

use super::absent::Absent;
use super::version::ApiVersion;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `GET`, `HEAD /_ping`
    Ping,
    /// `GET /version`
    Version,
    /// `GET /info`
    Info,
    /// `POST /auth`
    Auth,
    /// `GET /events`
    Events,
    /// `GET /system/df`
    DiskUsage,
    /// `GET /distribution/NAME/json`
    Distribution(String),
    /// `GET /images/json`
    List,
    /// `POST /images/create`
    Create,
    /// `POST /images/load`
    Load,
    /// `POST /images/prune`
    Prune,
    /// `GET /images/search`
    Search,
    /// `GET /images/get`, and with one name `GET /images/NAME/get`
    Save(Option<String>),
    /// `GET /images/NAME/json`
    Inspect(String),
    /// `GET /images/NAME/history`
    History(String),
    /// `POST /images/NAME/push`
    Push(String),
    /// `POST /images/NAME/tag`
    Tag(String),
    /// `DELETE /images/NAME`
    Remove(String),
    /// `GET /metrics`: wharf's own.
    Metrics,
    /// `OPTIONS` of anything
    Options,
    /// What Docker has and wharf has not.
    Absent(Absent),
}

/// Finds what a request is about, and which version it speaks; `None` if there is no such path. The path is
/// decoded already.
pub(super) fn find(method: &Method, path: &str) -> Option<(ApiVersion, Route)> {
    let (version, path) = match split_version(path) {
        Some((version, rest)) => (version, rest),
        None => (ApiVersion::newest(), path),
    };
    route(method, path).map(|route| (version, route))
}

/// `/v1.43/images/json` is `1.43` and `/images/json`.
fn split_version(path: &str) -> Option<(ApiVersion, &str)> {
    let rest = path.strip_prefix("/v")?;
    let end = rest.find('/')?;
    Some((ApiVersion::parse(&rest[..end])?, &rest[end..]))
}

fn route(method: &Method, path: &str) -> Option<Route> {
    let route = match (method.as_str(), path) {
        ("OPTIONS", _) => Route::Options,
        ("GET" | "HEAD", "/_ping") => Route::Ping,
        ("GET", "/version") => Route::Version,
        ("GET", "/info") => Route::Info,
        ("POST", "/auth") => Route::Auth,
        ("GET", "/events") => Route::Events,
        ("GET", "/system/df") => Route::DiskUsage,
        ("GET", "/metrics") => Route::Metrics,
        ("GET", "/images/json") => Route::List,
        ("POST", "/images/create") => Route::Create,
        ("POST", "/images/load") => Route::Load,
        ("POST", "/images/prune") => Route::Prune,
        ("GET", "/images/search") => Route::Search,
        ("GET", "/images/get") => Route::Save(None),
        _ => return named(method, path).or_else(|| Absent::find(method, path).map(Route::Absent)),
    };
    Some(route)
}

/// What is about one image.
fn named(method: &Method, path: &str) -> Option<Route> {
    if let Some(rest) = path.strip_prefix("/distribution/") {
        let name = rest
            .strip_suffix("/json")
            .filter(|_| method == Method::GET)?;
        return Some(Route::Distribution(name.to_owned()));
    }
    let rest = path.strip_prefix("/images/")?;
    if method == Method::DELETE {
        return Some(Route::Remove(rest.to_owned()));
    }
    let (name, what) = rest.rsplit_once('/')?;
    let name = name.to_owned();
    match (method.as_str(), what) {
        ("GET", "json") => Some(Route::Inspect(name)),
        ("GET", "history") => Some(Route::History(name)),
        ("GET", "get") => Some(Route::Save(Some(name))),
        ("POST", "push") => Some(Route::Push(name)),
        ("POST", "tag") => Some(Route::Tag(name)),
        _ => None,
    }
}

impl Route {
    /// What metrics call it: without names, so that there are few of them.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Ping => "/_ping",
            Self::Version => "/version",
            Self::Info => "/info",
            Self::Auth => "/auth",
            Self::Events => "/events",
            Self::DiskUsage => "/system/df",
            Self::Distribution(_) => "/distribution/{name}/json",
            Self::List => "/images/json",
            Self::Create => "/images/create",
            Self::Load => "/images/load",
            Self::Prune => "/images/prune",
            Self::Search => "/images/search",
            Self::Save(None) => "/images/get",
            Self::Save(Some(_)) => "/images/{name}/get",
            Self::Inspect(_) => "/images/{name}/json",
            Self::History(_) => "/images/{name}/history",
            Self::Push(_) => "/images/{name}/push",
            Self::Tag(_) => "/images/{name}/tag",
            Self::Remove(_) => "/images/{name}",
            Self::Metrics => "/metrics",
            Self::Options => "*",
            Self::Absent(_) => "absent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(method: &str, path: &str) -> Option<Route> {
        find(&method.parse().unwrap(), path).map(|(_, route)| route)
    }

    #[test]
    fn names_have_slashes_and_colons() {
        let name = "127.0.0.1:5000/team/app:1.1";
        let path = format!("/images/{name}/json");
        assert_eq!(at("GET", &path), Some(Route::Inspect(name.into())));
        let path = format!("/v1.43/images/{name}/push");
        assert_eq!(at("POST", &path), Some(Route::Push(name.into())));
        assert_eq!(
            at("DELETE", "/images/a/json"),
            Some(Route::Remove("a/json".into()))
        );
        let path = format!("/distribution/{name}/json");
        assert_eq!(at("GET", &path), Some(Route::Distribution(name.into())));
    }

    #[test]
    fn the_most_particular_path_counts() {
        assert_eq!(at("GET", "/images/json"), Some(Route::List));
        assert_eq!(
            at("GET", "/images/json/json"),
            Some(Route::Inspect("json".into()))
        );
        assert_eq!(at("GET", "/images/get"), Some(Route::Save(None)));
        assert_eq!(at("POST", "/images/json"), None);
        assert_eq!(at("GET", "/nosuch"), None);
        assert_eq!(at("GET", "/v1.51"), None);
    }

    #[test]
    fn a_path_says_its_version() {
        let (version, route) = find(&Method::GET, "/v1.43/images/json").unwrap();
        assert_eq!((version.to_string().as_str(), route), ("1.43", Route::List));
        let (version, _) = find(&Method::GET, "/images/json").unwrap();
        assert_eq!(version, ApiVersion::newest());
        // No version: an image's name may begin so.
        assert_eq!(at("GET", "/vx/images/json"), None);
    }
}
