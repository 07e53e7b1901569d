use proptest::prelude::*;

use super::*;

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

fn runs(text: &str) -> String {
    platform(text)
        .runs()
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn reads_what_users_write() {
    for (text, expected) in [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64/v2", "linux/amd64/v2"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/V3", "linux/amd64/v3"),
        ("linux/i386", "linux/386"),
        ("Linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v8.0", "linux/arm64"),
        ("linux/arm64/v9.0", "linux/arm64/v9"),
        ("linux/aarch64/v8.2", "linux/arm64/v8.2"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/arm/v5", "linux/arm/v5"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("macos/arm64", "darwin/arm64"),
        ("plan9/any-thing_1.2/x", "plan9/any-thing_1.2/x"),
        ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
        ("windows()/amd64", "windows/amd64"),
        ("s390x", "linux/s390x"),
        ("aarch64", "linux/arm64"),
        ("ARMHF", "linux/arm/v7"),
    ] {
        assert_eq!(platform(text).to_string(), expected, "{text}");
    }
    assert_eq!(platform("linux"), Platform::of_this_machine());
    assert_eq!(platform("freebsd").os, "freebsd");
}

#[test]
fn refuses_what_is_not_a_platform() {
    for text in [
        "",
        "/",
        "linux/",
        "/amd64",
        "nosuch",
        "a/b/c/d",
        "linux/am d64",
        "linux/*",
        "*",
        "linux/amd64/",
        "linux(",
        "windows(10.0/amd64",
        "windows(10 0)/amd64",
        "a.b/amd64",
        "linux/amd64(1)",
        "linux\u{e9}/amd64",
        "linux/amd64\n",
    ] {
        let error = text.parse::<Platform>().unwrap_err();
        assert!(
            error.to_string().ends_with(": invalid argument"),
            "{text:?}"
        );
    }
}

#[test]
fn tries_platforms_in_docker_s_order() {
    // From containerd's platforms.Only, version 1.0.0-rc.1, with which Docker 28.5 chooses.
    for (text, expected) in [
        ("linux/amd64", "linux/amd64 linux/386"),
        (
            "linux/amd64/v3",
            "linux/amd64/v3 linux/amd64/v2 linux/amd64 linux/386",
        ),
        ("linux/386", "linux/386"),
        ("linux/s390x", "linux/s390x"),
        ("linux/arm/v5", "linux/arm/v5"),
        ("linux/arm", "linux/arm/v7 linux/arm/v6 linux/arm/v5"),
        (
            "linux/arm/v8",
            "linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5",
        ),
        (
            "linux/arm64",
            "linux/arm64 linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5",
        ),
        (
            "linux/arm64/v8.2",
            "linux/arm64/v8.2 linux/arm64/v8.1 linux/arm64 \
             linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5",
        ),
        (
            "linux/arm64/v9.1",
            "linux/arm64/v9.1 linux/arm64/v9 linux/arm64/v8.6 linux/arm64/v8.5 linux/arm64/v8.4 \
             linux/arm64/v8.3 linux/arm64/v8.2 linux/arm64/v8.1 linux/arm64 \
             linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5",
        ),
        ("linux/arm64/v10", ""),
        ("linux/arm64/v8.10", ""),
    ] {
        assert_eq!(runs(text), expected, "{text}");
    }
    assert!(runs("linux/arm64/v9.7").contains(" linux/arm64/v8.9 "));
    assert_eq!(
        runs("windows(10.0.1)/amd64"),
        "windows(10.0.1)/amd64 windows(10.0.1)/386"
    );
}

#[test]
fn a_hostile_level_costs_nothing() {
    assert_eq!(
        runs("linux/amd64/v4294967295"),
        "linux/amd64/v4294967295 linux/386"
    );
    assert_eq!(runs("linux/arm/v4294967295"), "linux/arm/v4294967295");
}

#[test]
fn this_processor_runs_what_this_machine_runs() {
    let best = Platform::of_this_processor().runs();
    assert!(best.contains(&Platform::of_this_machine()), "{best:?}");
}

#[test]
fn compares_whatever_the_spelling() {
    let wire: Platform =
        serde_json::from_str(r#"{"architecture":"aarch64","os":"Linux","variant":"v8"}"#).unwrap();
    assert!(wire.is(&platform("linux/arm64")) && platform("linux/arm64").is(&wire));
    assert!(!wire.is(&platform("linux/arm64/v9")));
    // What is nowhere said is not made up when it is written again.
    let bare: Platform = serde_json::from_str("{}").unwrap();
    assert_eq!(bare.to_string(), "unknown");
    assert_eq!(
        serde_json::to_string(&bare).unwrap(),
        r#"{"architecture":"","os":""}"#
    );
}

proptest! {
    #[test]
    fn never_panics_and_prints_what_it_reads(text in "[a-zA-Z0-9_.()/-]{0,24}|\\PC{0,12}") {
        if let Ok(platform) = text.parse::<Platform>() {
            let again: Platform = platform.to_string().parse().unwrap();
            prop_assert_eq!(&again, &platform);
            prop_assert_eq!(platform.normalized(), platform.clone());
            prop_assert!(platform.runs().len() <= 100);
        }
    }
}
