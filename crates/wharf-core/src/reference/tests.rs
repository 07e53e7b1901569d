use proptest::prelude::*;

use super::*;

const DIGEST: &str = "sha256:98cb9f8678c61cf45f7fd539c137a4d681b54c7c7f0ce9222fcac9178eeb8a66";
const ID: &str = "a457cd9c8ca59847921bbe7c09a41f369351976cd7440df1ca80e67cd98ae1d1";

fn parse(text: &str) -> Reference {
    text.parse()
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn refused(text: &str) -> String {
    match text.parse::<Reference>() {
        Ok(reference) => panic!("{text:?} was read as {reference:?}"),
        Err(error) => error.to_string(),
    }
}

/// Domain, path, tag and digest, with `-` for one that is not there.
fn parts(reference: &Reference) -> String {
    let digest = reference
        .digest()
        .map_or("-", |digest| &digest.as_str()[..11]);
    let (domain, path) = (reference.domain(), reference.path());
    format!(
        "{domain} {path} {} {digest}",
        reference.tag().unwrap_or("-")
    )
}

#[test]
fn takes_names_apart() {
    for (text, expected) in [
        ("busybox", "docker.io library/busybox - -"),
        ("busybox:musl", "docker.io library/busybox musl -"),
        ("docker.io/busybox", "docker.io library/busybox - -"),
        ("index.docker.io/busybox", "docker.io library/busybox - -"),
        (
            "index.docker.io/library/busybox",
            "docker.io library/busybox - -",
        ),
        ("library/busybox", "docker.io library/busybox - -"),
        ("me/app:1", "docker.io me/app 1 -"),
        ("index.docker.io/me/app", "docker.io me/app - -"),
        ("library/a/b", "docker.io library/a/b - -"),
        ("a/b/c:1", "docker.io a/b/c 1 -"),
        // Without a slash there is no registry, whatever it looks like.
        ("localhost", "docker.io library/localhost - -"),
        ("localhost:8080", "docker.io library/localhost 8080 -"),
        ("test.com:5000", "docker.io library/test.com 5000 -"),
        ("192.168.0.1:80", "docker.io library/192.168.0.1 80 -"),
        ("foo_bar.com:8080", "docker.io library/foo_bar.com 8080 -"),
        ("foo/foo_bar.com:8080", "docker.io foo/foo_bar.com 8080 -"),
        ("sha256:x", "docker.io library/sha256 x -"),
        ("localhost/x", "localhost x - -"),
        ("localhost:5000/x:1", "localhost:5000 x 1 -"),
        ("LOCALHOST/x:1", "LOCALHOST x 1 -"),
        ("Docker/docker", "Docker docker - -"),
        ("h:80/x:1", "h:80 x 1 -"),
        ("h.io/x", "h.io x - -"),
        ("test.com:10304/a/b", "test.com:10304 a/b - -"),
        ("192.168.1.1:750050/x", "192.168.1.1:750050 x - -"),
        ("0101.com/x", "0101.com x - -"),
        ("ab.c-om/x", "ab.c-om x - -"),
        (
            "xn--n3h.com/myimage:xn--n3h.com",
            "xn--n3h.com myimage xn--n3h.com -",
        ),
        (
            "b.gcr.io/test.example.com/app:a.b",
            "b.gcr.io test.example.com/app a.b -",
        ),
        ("[::1]/x", "[::1] x - -"),
        ("[::1]:80/x:1", "[::1]:80 x 1 -"),
        (
            "[2001:DB8:1:2:3:4:5:6]:5000/a/b",
            "[2001:DB8:1:2:3:4:5:6]:5000 a/b - -",
        ),
        ("x:A.b_C-d", "docker.io library/x A.b_C-d -"),
        ("x:_u", "docker.io library/x _u -"),
        ("a__b/c---d.e_f", "docker.io a__b/c---d.e_f - -"),
    ] {
        assert_eq!(parts(&parse(text)), expected, "{text}");
    }
}

#[test]
fn keeps_tag_and_digest_apart() {
    for (text, expected) in [
        ("x@", "docker.io library/x - sha256:98cb"),
        ("x:1@", "docker.io library/x 1 sha256:98cb"),
        (
            "localhost:8080@",
            "docker.io library/localhost 8080 sha256:98cb",
        ),
        ("h:80/a/b:t@", "h:80 a/b t sha256:98cb"),
        ("[::1]:80/x:t@", "[::1]:80 x t sha256:98cb"),
    ] {
        let text = format!("{text}{DIGEST}");
        let reference = parse(&text);
        assert_eq!(parts(&reference), expected, "{text}");
        assert_eq!(reference.digest().unwrap().as_str(), DIGEST);
        assert_eq!(
            reference.clone().or_latest(),
            reference,
            "a digest needs no tag"
        );
    }
    assert_eq!(
        parse("x").or_latest().to_string(),
        "docker.io/library/x:latest"
    );
    assert_eq!(
        parse("x:1").or_latest().to_string(),
        "docker.io/library/x:1"
    );
}

#[test]
fn prints_names_as_docker_does() {
    // domain, path, familiar form, what else is read as the same
    for (domain, path, familiar, others) in [
        ("localhost", "fooo", "localhost/fooo", ""),
        ("LOCALDOMAIN", "fooo/bar", "LOCALDOMAIN/fooo/bar", ""),
        (
            "docker.io",
            "fooo/bar",
            "fooo/bar",
            "index.docker.io/fooo/bar docker.io/fooo/bar",
        ),
        (
            "docker.io",
            "library/ubuntu",
            "ubuntu",
            "library/ubuntu docker.io/ubuntu",
        ),
        (
            "docker.io",
            "library/a-12.04-b",
            "a-12.04-b",
            "index.docker.io/a-12.04-b",
        ),
        ("docker.io", "nonlibrary/ubuntu", "nonlibrary/ubuntu", ""),
        ("docker.io", "other/library", "other/library", ""),
        ("docker.io", "library/foo/bar", "library/foo/bar", ""),
        ("docker.io", "store/foo/bar", "store/foo/bar", ""),
        (
            "127.0.0.1:8000",
            "private/moonbase",
            "127.0.0.1:8000/private/moonbase",
            "",
        ),
        (
            "example.com:8000",
            "privatebase",
            "example.com:8000/privatebase",
            "",
        ),
        ("example.com", "library/x", "example.com/library/x", ""),
        ("FOO", "bar", "FOO/bar", ""),
        // Short, these would be other names.
        ("docker.io", "a.b/c", "docker.io/a.b/c", ""),
        ("docker.io", "localhost/c", "docker.io/localhost/c", ""),
    ] {
        let full = format!("{domain}/{path}");
        for text in [full.as_str(), familiar]
            .into_iter()
            .chain(others.split_whitespace())
        {
            let reference = parse(text);
            assert_eq!(
                (reference.domain(), reference.path()),
                (domain, path),
                "{text}"
            );
            assert_eq!(reference.familiar_repository(), familiar, "{text}");
            assert_eq!(reference.repository(), full, "{text}");
        }
    }
    let identifier = parse(&format!("docker.io/{ID}"));
    assert_eq!(identifier.familiar(), format!("docker.io/library/{ID}"));
    assert_eq!(
        parse(&format!("x:1@{DIGEST}")).familiar(),
        format!("x:1@{DIGEST}")
    );
}

/// What does not follow the grammar, by what is wrong.
const REFUSED: [(&str, &str); 8] = [
    (
        "nothing where something must be",
        ": @ / :justtag x: x@ x:1@ /a:1 a/:1 a//b:1 a/b/ docker/ h:/y :80/y docker.io/",
    ),
    (
        "separators",
        "a..b:1 a_-b:1 a-_b a.-b a___b:1 -a:1 a-:1 .a:1 a. _a a_ ____/____ _docker/_docker \
      docker///docker dock..er/docker -docker/docker docker-/docker",
    ),
    (
        "tags",
        "x:.t x:-t x:a+b x:a:b x:a/b x:é registry.com:8080/myapp:invalid~tag",
    ),
    (
        "letters",
        "é:1 aa/a$^/aa x\0 https://github.com/docker/docker",
    ),
    ("folders", "docker/.. ../x ./x x/../y"),
    (
        "digests",
        "x@bad x@2bad x@sha256: x@sha256:badbadbadbad x@sha256",
    ),
    (
        "registries",
        "-docker.io/docker docker./docker .docker/docker do..cker.io/x do__cker:8080/x h:x/y:1 \
      foo_bar.com/app foo_bar.com:8080/app ab.-com/x ab.com-/x localhost:http/name",
    ),
    (
        "addresses",
        "[fc00::1] [fc00::1]:5000 [fc00::1]:tag fc00::1:5000/debian []/x [::1/x ::1]/x [::1]x/y \
      [::1]::80/x [fd00::3]75050/x [fe80::1%eth0]:5000/debian [::1]:/x [0]/x \
      [2001:db8:3:4::192.0.2.33]:5000/debian [fe80::1%@invalidzone]:5000/repo",
    ),
];

#[test]
fn refuses_what_docker_refuses() {
    let spaces = ["", " ", "x y", " x", "x ", "x\n", "x:1\t"];
    for text in REFUSED
        .iter()
        .flat_map(|(_, texts)| texts.split_whitespace())
        .chain(spaces)
    {
        assert_eq!(refused(text), "invalid reference format", "{text:?}");
    }
}

#[test]
fn says_what_is_wrong_in_docker_s_words() {
    for (text, name) in [
        ("Busybox", "library/Busybox"),
        ("X:1", "library/X"),
        ("docker/Docker", "docker/Docker"),
        ("test:5000/Upper/lower:tag", "Upper/lower"),
        ("x@SHA256:0", "library/x@SHA256"),
        ("\u{1c5}", "library/\u{1c5}"),
    ] {
        let expected =
            format!("invalid reference format: repository name ({name}) must be lowercase");
        assert_eq!(refused(text), expected, "{text}");
    }
    let expected =
        format!("invalid repository name ({ID}), cannot specify 64-byte hexadecimal strings");
    assert_eq!(refused(ID), expected);
    assert_eq!(
        refused(&format!("domain/{}:tag", "a".repeat(256))),
        "repository name must not be more than 255 characters"
    );
    assert!(is_identifier(ID));
    for text in [&ID[1..], &ID.to_uppercase(), &format!("{ID}0"), DIGEST] {
        assert!(!is_identifier(text), "{text}");
    }
}

#[test]
fn knows_how_long_a_name_may_be() {
    assert_eq!(
        parse(&format!("example.com/{}:tag", "a".repeat(255)))
            .path()
            .len(),
        255
    );
    assert_eq!(
        parse(&format!("{}a:tag", "a/".repeat(127))).path().len(),
        255
    );
    // On Docker Hub the prefix counts.
    assert!("a".repeat(247).parse::<Reference>().is_ok());
    assert!(refused(&"a".repeat(248)).contains("255 characters"));
    assert_eq!(
        parse(&format!("x:{}", "a".repeat(128)))
            .tag()
            .unwrap()
            .len(),
        128
    );
    assert_eq!(
        refused(&format!("x:{}", "a".repeat(129))),
        "invalid reference format"
    );
}

#[test]
fn refuses_digests_that_nobody_computes() {
    for (digest, expected) in [
        (
            format!("md5:{}", "0".repeat(32)),
            "unsupported digest algorithm",
        ),
        (format!("sha256:{}", "f".repeat(34)), "invalid digest"),
        (
            format!("sha256+b64:{}", "f".repeat(64)),
            "unsupported digest algorithm",
        ),
        (
            DIGEST.to_uppercase().replace("SHA", "sha"),
            "invalid digest",
        ),
        // The name is wrong too, and comes first.
        (format!("md5:{}", "0".repeat(32)), "unsupported"),
    ] {
        assert!(
            refused(&format!("x:1@{digest}")).starts_with(expected),
            "{digest}"
        );
        assert_eq!(
            refused(&format!("a..b@{digest}")),
            "invalid reference format"
        );
    }
    let sha512 = format!("x@sha512:{}", "f".repeat(128));
    assert_eq!(parse(&sha512).familiar(), sha512);
}

#[test]
fn changes_tag_and_digest() {
    let reference = parse(&format!("h.io/x:1@{DIGEST}"));
    assert_eq!(reference.with_tag("2").unwrap().to_string(), "h.io/x:2");
    assert_eq!(
        reference.with_tag("-2").unwrap_err(),
        ReferenceError::Format
    );
    assert_eq!(
        reference.without_tag().to_string(),
        format!("h.io/x@{DIGEST}")
    );
    let digest = reference.digest().unwrap().clone();
    assert_eq!(
        parse("h.io/x:1").with_digest(digest),
        reference.without_tag()
    );
    assert!(parse("x").is_name_only() && !reference.is_name_only());
    assert_eq!(
        Reference::of_repository("docker.io/library/x").unwrap(),
        parse("x")
    );
    for text in ["x:1", &format!("x@{DIGEST}"), "x:"] {
        assert_eq!(
            Reference::of_repository(text).unwrap_err(),
            ReferenceError::Format,
            "{text}"
        );
    }
}

#[test]
fn names_are_sorted_by_what_they_are_in_full() {
    let mut all = [
        "zz:1",
        "quay.io/a/b:2",
        "busybox:musl",
        "ghcr.io/a/b:1",
        "aa/b-c:1",
        "aa/b:1",
    ]
    .map(parse);
    all.sort();
    let shown = all.map(|reference| reference.familiar());
    let expected = [
        "aa/b-c:1",
        "aa/b:1",
        "busybox:musl",
        "zz:1",
        "ghcr.io/a/b:1",
        "quay.io/a/b:2",
    ];
    assert_eq!(shown, expected);
}

/// Names that follow the grammar, the rare corners among them.
fn names() -> impl Strategy<Value = String> {
    let component = "[a-z0-9]{1,3}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}";
    let domain = prop_oneof![
        Just(String::new()),
        "(localhost|docker\\.io|index\\.docker\\.io|library|[A-Z]{1,2})/",
        "[a-zA-Z0-9]{1,3}(-[a-z0-9]{1,2})?(\\.[a-z0-9]{1,3}){0,2}(:[0-9]{1,6})?/",
        "\\[[a-fA-F0-9:]{0,6}:[a-fA-F0-9:]{0,6}\\](:[0-9]{1,5})?/",
    ];
    let path = proptest::collection::vec(component, 1..4).prop_map(|parts| parts.join("/"));
    let tag = prop_oneof![Just(String::new()), ":[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}"];
    let digest = prop_oneof![
        Just(String::new()),
        "@sha256:[0-9a-f]{64}",
        "@sha512:[0-9a-f]{128}"
    ];
    (domain, path, tag, digest)
        .prop_map(|(domain, path, tag, digest)| domain + &path + &tag + &digest)
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_as_the_same(text in names()) {
        // The one corner that Docker takes and wharf does not: see `is_domain`.
        let first = text.split_once('/').map_or("", |(first, _)| first);
        prop_assume!(!(first.contains('_') && first.contains('.')));
        let reference: Reference = text.parse().map_err(|e| TestCaseError::fail(format!("{e}")))?;
        for printed in [reference.to_string(), reference.familiar()] {
            let again: Reference = printed.parse().unwrap();
            prop_assert_eq!(&again, &reference, "{}", printed);
        }
        prop_assert!(!reference.domain().is_empty() && !reference.path().is_empty());
        prop_assert!(reference.domain() != DEFAULT_DOMAIN || reference.path().contains('/'));
    }

    #[test]
    fn a_repository_is_read_by_both_ways_alike(text in names()) {
        let Ok(reference) = text.parse::<Reference>() else {
            return Ok(());
        };
        let again = Reference::of_repository(reference.repository()).unwrap();
        prop_assert_eq!(&again, &reference.repository().parse().unwrap());
        prop_assert_eq!(again.with_tag("a").unwrap(), reference.with_tag("a").unwrap());
        prop_assert_eq!((again.domain(), again.path()), (reference.domain(), reference.path()));
        prop_assert!(again.tag().is_none() && again.digest().is_none());
    }

    #[test]
    fn never_panics(text in "\\PC{0,40}|[a-zA-Z0-9./:@_\\[\\]-]{0,40}") {
        if let Ok(reference) = text.parse::<Reference>() {
            prop_assert_eq!(reference.familiar().parse::<Reference>().unwrap(), reference);
        }
    }

    /// Whatever is read is safe in a path and in a URL.
    #[test]
    fn what_is_read_holds_no_surprises(text in "[a-zA-Z0-9./:@_%?#\\\\\\[\\] é-]{0,20}") {
        if let Ok(reference) = text.parse::<Reference>() {
            let printed = reference.to_string();
            prop_assert!(printed.is_ascii() && !printed.contains(['%', '?', '#', '\\', ' ']));
            prop_assert!(!printed.split('/').any(|part| part.is_empty() || part.starts_with('.')));
        }
    }
}
