//! What a registry wants to be shown: the challenges of a 401 (RFC 9110, section 11.6.1).

use reqwest::Url;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// Bounds one header, in bytes. Real ones have about 200.
const HEADER_MAX: usize = 8 * 1024;

/// One way to authenticate that wharf knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A user name and a password, with every request.
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

/// The challenges that can be met, the better first: a token stands for less than a password.
pub(crate) fn parse(headers: &HeaderMap) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter(|text| text.len() <= HEADER_MAX)
        .flat_map(parse_one)
        .collect();
    found.sort_by_key(|challenge| *challenge == Challenge::Basic);
    found
}

/// One header. It may hold several challenges; a header that breaks off holds those before that.
fn parse_one(text: &str) -> Vec<Challenge> {
    let parser = http_auth::parser::ChallengeParser::new(text);
    parser
        .map_while(Result::ok)
        .filter_map(|challenge| known(&challenge))
        .collect()
}

fn known(challenge: &http_auth::ChallengeRef<'_>) -> Option<Challenge> {
    if challenge.scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !challenge.scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let param = |name: &str| {
        challenge
            .params
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_unescaped())
            .filter(|value| !value.is_empty())
    };
    let mut realm: Url = param("realm")?.parse().ok()?;
    // What a stranger puts in front of the host is not ours to send.
    realm.set_username("").ok()?;
    realm.set_password(None).ok()?;
    Some(Challenge::Bearer(Bearer {
        realm,
        service: param("service"),
        scope: param("scope"),
        error: param("error"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    fn read(values: &[&str]) -> Vec<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        parse(&headers)
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

    proptest! {
        #[test]
        fn never_panics(text in "[ -~]{0,200}") {
            parse_one(&text);
        }

        #[test]
        fn reads_back_any_service(service in "[ -~&&[^\"\\\\]]{1,40}") {
            let text = format!("Bearer realm=\"https://a.corp/t\",service=\"{service}\"");
            let found = parse_one(&text);
            prop_assert_eq!(bearer(&found[0]).service.as_deref(), Some(service.as_str()));
        }
    }
}
