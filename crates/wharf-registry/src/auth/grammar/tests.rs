use super::*;
use proptest::prelude::*;

/// `scheme[name=value|name=value] …`
fn shown(header: &[u8]) -> String {
    let one = |parsed: &Parsed| {
        let pairs: Vec<String> = parsed
            .parameters
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("{}[{}]", parsed.scheme, pairs.join("|"))
    };
    let all: Vec<String> = parse(header).iter().map(one).collect();
    all.join(" ")
}

#[test]
fn reads_the_grammar() {
    for (header, expected) in [
        (r#"Basic realm="simple""#, "basic[realm=simple]"),
        (
            r#"Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple""#,
            r#"newauth[realm=apps|type=1|title=Login to "apps"] basic[realm=simple]"#,
        ),
        ("Basic", "basic[]"),
        ("Negotiate, Basic realm=x", "negotiate[] basic[realm=x]"),
        (
            "Negotiate oRQwEqADCgEB/+x==, Basic realm=x",
            "negotiate[] basic[realm=x]",
        ),
        (
            r#"Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push""#,
            "bearer[realm=https://a/t|service=s|scope=repository:a/b:pull,push]",
        ),
        (
            r#"Basic realm = "x" , charset = "UTF-8""#,
            "basic[realm=x|charset=UTF-8]",
        ),
        ("", ""),
        (" , ,\t, ", ""),
    ] {
        assert_eq!(shown(header.as_bytes()), expected, "{header}");
    }
}

fn check(cases: &[(&str, &str)]) {
    for (header, expected) in cases {
        assert_eq!(shown(header.as_bytes()), *expected, "{header}");
    }
}

#[test]
fn reads_values_that_servers_send_beside_the_grammar() {
    check(&[
        ("Basic realm=/", "basic[realm=/]"),
        ("Basic realm=", "basic[realm=]"),
        ("Basic realm=My Registry", "basic[realm=My Registry]"),
        (
            "Basic realm=My Registry, Bearer realm=https://a/t",
            "basic[realm=My Registry] bearer[realm=https://a/t]",
        ),
        (
            "Basic realm=My Registry service=x",
            "basic[realm=My Registry|service=x]",
        ),
        ("Basic   realm=\"x\"", "basic[realm=x]"),
        ("Basic\trealm=\"x\"", "basic[realm=x]"),
        ("\t BASIC \t REALM=\"x\"\t", "basic[realm=x]"),
        ("Basic realm='a b', x=1", "basic[realm=a b|x=1]"),
        ("Basic realm='a", "basic[realm='a]"),
        (
            "Bearer realm=\"https://a/t\",service=,scope=\"x\"",
            "bearer[realm=https://a/t|service=|scope=x]",
        ),
        (
            "Bearer realm=\"https://a/t\",service= scope=\"x\"",
            "bearer[realm=https://a/t|service=|scope=x]",
        ),
    ]);
}

#[test]
fn reads_separators_that_servers_send_beside_the_grammar() {
    check(&[
        (
            "Bearer realm=\"https://a/t\" service=\"s\" scope=\"x\"",
            "bearer[realm=https://a/t|service=s|scope=x]",
        ),
        (
            "Bearer realm=\"https://a/t\"service=\"s\"",
            "bearer[realm=https://a/t|service=s]",
        ),
        (
            "Bearer realm=\"https://a/t\"; service=\"s\"",
            "bearer[realm=https://a/t|service=s]",
        ),
        (
            "Bearer realm=https://a/t;v=1?x=y; service=s",
            "bearer[realm=https://a/t;v=1?x=y|service=s]",
        ),
        (
            "Bearer ,realm=\"https://a/t\",,",
            "bearer[realm=https://a/t]",
        ),
        (
            "Basic realm=\"x\" Bearer realm=\"https://a/t\"",
            "basic[realm=x] bearer[realm=https://a/t]",
        ),
        (
            "Basic realm=x Bearer realm=\"https://a/t\"",
            "basic[realm=x] bearer[realm=https://a/t]",
        ),
        ("Negotiate Basic realm=\"x\"", "negotiate[] basic[realm=x]"),
        (
            "NTLM, Negotiate, Basic realm=\"x\"",
            "ntlm[] negotiate[] basic[realm=x]",
        ),
        (
            "Basic realm=\"My \"great\" registry\"",
            "basic[realm=My \"great\" registry]",
        ),
        ("Basic realm=\"x", "basic[realm=x]"),
        (
            "Bearer realm=\"https://a/t, service=\"s\"",
            "bearer[realm=https://a/t|service=s]",
        ),
        (
            "Bearer realm=\"https://a/t\"#, service=s",
            "bearer[realm=https://a/t|service=s]",
        ),
        ("realm=\"x\"", ""),
        ("\"x\" Basic realm=y", "basic[realm=y]"),
        (
            "Digest realm=\"a, Basic realm=b\", Basic realm=c",
            "digest[realm=a, Basic realm=b] basic[realm=c]",
        ),
    ]);
}

#[test]
fn reads_bytes_that_are_not_ascii() {
    assert_eq!(
        shown("Basic realm=\"Büro\"".as_bytes()),
        "basic[realm=Büro]"
    );
    assert_eq!(shown(b"Basic realm=\"B\xfcro\""), "basic[realm=B\u{fc}ro]");
    assert_eq!(
        shown(b"Basic realm=\xff\xfe, x=1"),
        "basic[realm=\u{ff}\u{fe}|x=1]"
    );
    assert_eq!(
        shown(b"\xef\xbb\xbfBasic x, Basic realm=a"),
        "x[] basic[realm=a]"
    );
}

#[test]
fn is_bounded() {
    let many = "Basic,".repeat(1000);
    assert_eq!(parse(many.as_bytes()).len(), CHALLENGES_MAX);
    let many = format!("Basic {}", "a=b,".repeat(1000));
    assert_eq!(parse(many.as_bytes())[0].parameters.len(), PARAMETERS_MAX);
}

proptest! {
    #[test]
    fn never_panics(header in proptest::collection::vec(any::<u8>(), 0..200)) {
        parse(&header);
    }

    #[test]
    fn never_panics_at_marks(header in "[ \t,;=\"'\\\\a/]{0,60}") {
        parse(header.as_bytes());
    }

    #[test]
    fn reads_back_any_quoted_value(value in "[ -~]{0,40}", after in "(|, x=1|, Basic|\t)") {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
        let header = format!("Bearer realm=\"{escaped}\"{after}");
        let read = parse(header.as_bytes());
        prop_assert_eq!(read[0].parameters[0].1.as_str(), value.as_str());
    }
}
