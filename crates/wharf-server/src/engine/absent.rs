//! What Docker has and wharf has not: containers, builds, networks, volumes, swarm.
//!
//! Clients look for these things on their way, and stay calm if there are none: lists are empty, one of them is
//! not found, a prune finds nothing, and what cannot be done is answered with 501 and why.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::{Failure, json as answer};

/// What there is none of, and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Absent {
    kind: Kind,
    asked: Asked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Containers,
    Networks,
    Volumes,
    /// Builds, their cache, and the sessions that builders speak.
    Build,
    /// A list in one of swarm's parts, or of plugins.
    Other(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    List,
    One(String),
    Prune,
    Do,
}

/// Swarm's lists, and plugins.
const LISTS: [&str; 7] = [
    "configs", "nodes", "plugins", "secrets", "services", "swarm", "tasks",
];

/// Where builders talk.
const BUILDER_PATHS: [&str; 5] = ["build", "commit", "exec", "grpc", "session"];

impl Absent {
    /// Is it a path of Docker's? Then it is answered as one, whatever it asks for.
    pub(super) fn find(method: &Method, path: &str) -> Option<Self> {
        let mut words = path.strip_prefix('/')?.splitn(3, '/');
        let (first, second, third) = (words.next()?, words.next(), words.next());
        let kind = match first {
            "containers" => Kind::Containers,
            "networks" => Kind::Networks,
            "volumes" => Kind::Volumes,
            "exec" | "commit" => Kind::Containers,
            other if BUILDER_PATHS.contains(&other) => Kind::Build,
            other => Kind::Other(LISTS.iter().copied().find(|list| *list == other)?),
        };
        let asked = match (method.as_str(), second, third) {
            ("GET", None | Some("json"), None) => Asked::List,
            ("POST", Some("prune"), None) => Asked::Prune,
            ("GET" | "HEAD" | "DELETE", Some(name), _) => Asked::One(name.to_owned()),
            ("POST", Some(name), Some(_)) if kind == Kind::Containers => {
                Asked::One(name.to_owned())
            }
            _ => Asked::Do,
        };
        let asked = if matches!(first, "exec" | "commit" | "swarm") || kind == Kind::Build {
            match asked {
                Asked::Prune => Asked::Prune,
                _ => Asked::Do,
            }
        } else {
            asked
        };
        Some(Self { kind, asked })
    }

    /// The answer.
    pub(super) fn answer(&self) -> Result<Response, Failure> {
        match &self.asked {
            Asked::List => Ok(answer(StatusCode::OK, &self.none())),
            Asked::Prune => Ok(answer(StatusCode::OK, &self.nothing_pruned())),
            Asked::One(name) => Err(self.no_such(name)),
            Asked::Do => Err(self.cannot()),
        }
    }

    fn none(&self) -> Value {
        match self.kind {
            Kind::Volumes => json!({ "Volumes": [], "Warnings": null }),
            _ => json!([]),
        }
    }

    fn nothing_pruned(&self) -> Value {
        match self.kind {
            Kind::Containers => json!({ "ContainersDeleted": null, "SpaceReclaimed": 0 }),
            Kind::Networks => json!({ "NetworksDeleted": null }),
            Kind::Volumes => json!({ "VolumesDeleted": null, "SpaceReclaimed": 0 }),
            Kind::Build | Kind::Other(_) => json!({ "CachesDeleted": null, "SpaceReclaimed": 0 }),
        }
    }

    /// Docker's words (28.5) for something that is not there.
    fn no_such(&self, name: &str) -> Failure {
        let message = match self.kind {
            Kind::Containers | Kind::Build => format!("No such container: {name}"),
            Kind::Networks => format!("network {name} not found"),
            Kind::Volumes => format!("get {name}: no such volume"),
            Kind::Other(list) => format!("{} {name} not found", list.trim_end_matches('s')),
        };
        Failure::new(StatusCode::NOT_FOUND, message)
    }

    fn cannot(&self) -> Failure {
        let message = match self.kind {
            Kind::Build => {
                "wharf manages images and has no builder: build with buildah, or with buildkit and \
                 `docker buildx build` on a builder of its own, and push or load the result"
            }
            Kind::Containers => {
                "wharf manages images and runs no containers: podman, crun or containerd run them"
            }
            Kind::Networks => "wharf manages images and has no networks",
            Kind::Volumes => "wharf manages images and has no volumes",
            Kind::Other(_) => "wharf manages images: it has no swarm and no plugins",
        };
        Failure::new(StatusCode::NOT_IMPLEMENTED, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status, and the failure's words if there is one.
    fn ask(method: &str, path: &str) -> Option<(u16, String)> {
        let absent = Absent::find(&method.parse().unwrap(), path)?;
        Some(match absent.answer() {
            Ok(response) => (response.status().as_u16(), String::new()),
            Err(failure) => (failure.status.as_u16(), failure.message),
        })
    }

    #[test]
    fn lists_are_empty_and_prunes_find_nothing() {
        for (method, path) in [
            ("GET", "/containers/json"),
            ("GET", "/networks"),
            ("GET", "/volumes"),
            ("GET", "/services"),
            ("GET", "/plugins"),
            ("POST", "/containers/prune"),
            ("POST", "/networks/prune"),
            ("POST", "/volumes/prune"),
            ("POST", "/build/prune"),
        ] {
            assert_eq!(ask(method, path).unwrap().0, 200, "{method} {path}");
        }
    }

    #[test]
    fn one_of_them_is_not_found() {
        let words = |method, path| ask(method, path).unwrap();
        assert_eq!(
            words("GET", "/containers/x/json"),
            (404, "No such container: x".into())
        );
        assert_eq!(words("POST", "/containers/x/start").0, 404);
        assert_eq!(words("DELETE", "/volumes/v").0, 404);
    }

    #[test]
    fn what_cannot_be_done_says_why() {
        for path in [
            "/containers/create",
            "/build",
            "/session",
            "/grpc",
            "/commit",
            "/networks/create",
            "/volumes/create",
            "/swarm/init",
        ] {
            let (status, words) = ask("POST", path).unwrap();
            assert_eq!(status, 501, "{path}");
            assert!(words.starts_with("wharf manages images"), "{path}: {words}");
        }
        assert!(ask("POST", "/build").unwrap().1.contains("no builder"));
        assert_eq!(ask("GET", "/nosuch"), None);
    }
}
