//! What a registry wants to be shown: the challenges of a 401 (RFC 9110, section 11.6.1).

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

use super::grammar::{self, Parsed};
use crate::redact;

/// Bounds one header, in bytes. Real ones have about 200.
const HEADER_MAX: usize = 8 * 1024;

/// Bounds the headers of one answer. Real ones have up to three.
const HEADERS_MAX: usize = 16;

/// One way to authenticate that wharf knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A user name and a password, with every request. The realm is for people, and may be missing.
    Basic,
    /// A token of a service.
    Bearer(Bearer),
}

/// A token service, in the registry's words (distribution's token specification).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// Where tokens are.
    pub(crate) realm: Url,
    /// What the registry is called there.
    pub(crate) service: Option<String>,
    /// What the token must be good for.
    pub(crate) scope: Option<String>,
    /// What was wrong with the token that was shown: `insufficient_scope`, `invalid_token`.
    pub(crate) error: Option<String>,
}

/// What a 401 asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Challenges {
    /// The challenges that can be met, the better first: a token stands for less than a password
    /// (containerd has the same order).
    pub(crate) usable: Vec<Challenge>,
    /// Why the first one that cannot be met cannot be met.
    pub(crate) problem: Option<String>,
}

/// Reads the challenges of an answer, from all of its headers.
pub(crate) fn parse(headers: &HeaderMap) -> Challenges {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    of(values.take(HEADERS_MAX).map(HeaderValue::as_bytes))
}

/// The same, of the headers' bytes.
pub(crate) fn of<'a>(headers: impl Iterator<Item = &'a [u8]>) -> Challenges {
    let mut all = Challenges::default();
    for header in headers.filter(|header| header.len() <= HEADER_MAX) {
        for challenge in grammar::parse(header) {
            match known(&challenge) {
                Ok(challenge) => all.usable.push(challenge),
                Err(problem) => _ = all.problem.get_or_insert(problem),
            }
        }
    }
    all.usable
        .sort_by_key(|challenge| *challenge == Challenge::Basic);
    all
}

/// One challenge, or why it cannot be met.
fn known(challenge: &Parsed) -> Result<Challenge, String> {
    match challenge.scheme.as_str() {
        "basic" => return Ok(Challenge::Basic),
        "bearer" => {}
        other => {
            let other = redact::foreign(other);
            return Err(format!(
                "it wants the authentication scheme {other:?}; wharf knows Basic and Bearer"
            ));
        }
    }
    let Some(realm) = challenge.get("realm") else {
        let reason = "it wants a Bearer token and does not say where to get one: the challenge \
                      has no realm";
        return Err(reason.to_owned());
    };
    let url: Option<Url> = realm.trim().parse().ok().filter(Url::has_host);
    // The user in front of the host comes from a stranger: it is not sent.
    let cleared = url.and_then(|mut url| {
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        Some(url)
    });
    let Some(realm) = cleared else {
        let reason = "it wants a Bearer token, and the realm of its challenge is not the address of a \
                      token service";
        return Err(reason.to_owned());
    };
    let given = |name| challenge.get(name).map(str::to_owned);
    Ok(Challenge::Bearer(Bearer {
        realm,
        service: given("service"),
        scope: given("scope"),
        error: given("error"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(values: &[&str]) -> Vec<Challenge> {
        of(values.iter().map(|value| value.as_bytes())).usable
    }

    fn problem(value: &str) -> Option<String> {
        of([value.as_bytes()].into_iter()).problem
    }

    fn bearer(challenge: &Challenge) -> &Bearer {
        match challenge {
            Challenge::Bearer(bearer) => bearer,
            Challenge::Basic => panic!("basic"),
        }
    }

    #[test]
    fn reads_docker_hubs_challenge() {
        let found = read(&[
            "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",\
             scope=\"repository:library/busybox:pull\"",
        ]);
        let bearer = bearer(&found[0]);
        assert_eq!(bearer.realm.as_str(), "https://auth.docker.io/token");
        assert_eq!(bearer.service.as_deref(), Some("registry.docker.io"));
        assert_eq!(
            bearer.scope.as_deref(),
            Some("repository:library/busybox:pull")
        );
        assert_eq!(bearer.error, None);
    }

    #[test]
    fn prefers_a_token_to_a_password_wherever_it_stands() {
        let both = "Basic realm=\"Registry\", Bearer realm=\"https://a.corp/t\"";
        assert_eq!(read(&[both]).len(), 2);
        assert_eq!(bearer(&read(&[both])[0]).realm.as_str(), "https://a.corp/t");
        let apart = [
            "Negotiate",
            "basic realm=x",
            "bearer realm=\"https://a.corp/t\"",
        ];
        assert_eq!(bearer(&read(&apart)[0]).realm.as_str(), "https://a.corp/t");
        assert_eq!(read(&apart)[1], Challenge::Basic);
    }

    #[test]
    fn takes_escapes_apart_and_passes_over_what_it_does_not_know() {
        let found = read(&["Bearer realm=\"https://a.corp/t\",service=\"a\\\"b\",x=\"y\""]);
        assert_eq!(bearer(&found[0]).service.as_deref(), Some("a\"b"));
        for nothing in [
            "Digest realm=\"a\",nonce=\"b\"",
            "Bearer service=\"x\"",
            ",,,",
            "",
        ] {
            assert_eq!(read(&[nothing]), [], "{nothing}");
        }
    }

    #[test]
    fn basic_needs_no_realm() {
        for header in [
            "Basic",
            "basic realm=/",
            "Basic realm=\"\"",
            "BASIC realm",
            "Basic charset=UTF-8",
        ] {
            assert_eq!(read(&[header]), [Challenge::Basic], "{header}");
        }
    }

    #[test]
    fn says_why_a_challenge_cannot_be_met() {
        for (header, part) in [
            ("Bearer service=\"x\"", "has no realm"),
            ("Bearer", "has no realm"),
            ("Bearer realm=\"\"", "has no realm"),
            ("Bearer realm=\"/token\"", "is not the address"),
            ("Bearer realm=\"mailto:a@b\"", "is not the address"),
            ("Negotiate", "the authentication scheme \"negotiate\""),
        ] {
            let words = problem(header).unwrap_or_default();
            assert!(words.contains(part), "{header}: {words}");
        }
        assert_eq!(problem("Basic realm=x"), None);
        assert!(
            problem("Bearer realm=\"ann:secret@\"").is_some_and(|words| !words.contains("secret"))
        );
    }

    proptest! {
        #[test]
        fn never_panics(header in proptest::collection::vec(any::<u8>(), 0..200)) {
            of([header.as_slice()].into_iter());
        }

        #[test]
        fn reads_back_any_service(service in "[ -~&&[^\"\\\\]]{1,40}") {
            let text = format!("Bearer realm=\"https://a.corp/t\",service=\"{service}\"");
            let found = read(&[&text]);
            prop_assert_eq!(bearer(&found[0]).service.as_deref(), Some(service.as_str()));
        }
    }
}
