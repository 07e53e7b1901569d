use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const OPS: &str = "b3BzOnNlY3JldA=="; // ops:secret

struct Home {
    folder: TempDir,
    settings: CredentialSettings,
}

impl Home {
    fn with(config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, config).unwrap();
        let helper_path = Some(folder.path().join("bin").into_os_string());
        let settings = CredentialSettings {
            docker_auth_config: None,
            docker_config: Some(path),
            others: Vec::new(),
            helper_path,
        };
        Self { folder, settings }
    }

    fn also(mut self, name: &str, config: &str) -> Self {
        let path = self.folder.path().join(name);
        fs::write(&path, config).unwrap();
        self.settings.others.push(path);
        self
    }

    /// With this `DOCKER_AUTH_CONFIG`.
    fn variable(mut self, text: &str) -> Self {
        self.settings.docker_auth_config = Some(Secret::new(text));
        self
    }

    /// A helper that is this shell script.
    fn helper(self, name: &str, script: &str) -> Self {
        let bin = self.folder.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        let path = bin.join(format!("docker-credential-{name}"));
        // Only what a shell has built in: the search path is the test's own.
        fs::write(&path, format!("#!/bin/sh\nread -r server\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    async fn find(&self, registry: &str, repository: &str) -> (Option<Found>, Vec<String>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heard);
        let watch = move |event: Event| {
            if let Event::Notice(text) = event {
                notes.lock().unwrap().push(text);
            }
        };
        let asked = Asked {
            registry,
            repository,
        };
        let found = Credentials::new(self.settings.clone(), Whose::Kept)
            .find(&asked, &watch)
            .await;
        let heard = heard.lock().unwrap().clone();
        (found, heard)
    }

    async fn credential(&self, registry: &str, repository: &str) -> Option<Credential> {
        let (found, notices) = self.find(registry, repository).await;
        assert_eq!(notices, Vec::<String>::new());
        found.map(|found| found.credential)
    }
}

fn password(user: &str, password: &str) -> Option<Credential> {
    Some(Credential::Password {
        user: user.to_owned(),
        password: Secret::new(password),
    })
}

fn config_with(key: &str, auth: &str) -> String {
    format!(r#"{{"auths":{{"{key}":{{"auth":"{auth}"}}}}}}"#)
}

#[tokio::test]
async fn finds_a_registry_by_each_of_its_names() {
    for key in [
        "registry.corp:5000",
        "https://registry.corp:5000",
        "http://registry.corp:5000/v2/",
    ] {
        let home = Home::with(&config_with(key, OPS));
        let found = home.credential("registry.corp:5000", "a").await;
        assert_eq!(found, password("ops", "secret"), "{key}");
        assert_eq!(home.credential("registry.corp", "a").await, None, "{key}");
    }
    for key in [
        "https://index.docker.io/v1/",
        "docker.io",
        "index.docker.io",
        "registry-1.docker.io",
    ] {
        let home = Home::with(&config_with(key, OPS));
        assert_eq!(
            home.credential("docker.io", "library/a").await,
            password("ops", "secret"),
            "{key}"
        );
    }
}

#[tokio::test]
async fn the_longest_key_counts() {
    let auths = r#"{"auths":{
        "quay.io":{"username":"all","password":"1"},
        "quay.io/team":{"username":"team","password":"2"},
        "quay.io/team/app":{"username":"app","password":"3"}}}"#;
    let home = Home::with("{}").also("auth.json", auths);
    assert_eq!(
        home.credential("quay.io", "team/app").await,
        password("app", "3")
    );
    assert_eq!(
        home.credential("quay.io", "team/app/x").await,
        password("app", "3")
    );
    assert_eq!(
        home.credential("quay.io", "team/apple").await,
        password("team", "2")
    );
    assert_eq!(
        home.credential("quay.io", "teams").await,
        password("all", "1")
    );
}

#[tokio::test]
async fn reads_every_kind_of_entry() {
    let auths = r#"{"auths":{
        "a":{"auth":"b3BzOnNlY3JldA"},
        "b":{"identitytoken":"id","auth":"b3Bz"},
        "c":{"registrytoken":"reg"},
        "d":{"auth":"PHRva2VuPjppZA=="},
        "e":{},
        "f":{"auth":""}},
        "HttpHeaders":{"X":"y"},"psFormat":"table"}"#;
    let home = Home::with(auths);
    assert_eq!(home.credential("a", "x").await, password("ops", "secret"));
    assert_eq!(
        home.credential("b", "x").await,
        Some(Credential::Identity(Secret::new("id")))
    );
    assert_eq!(
        home.credential("c", "x").await,
        Some(Credential::Registry(Secret::new("reg")))
    );
    assert_eq!(
        home.credential("d", "x").await,
        Some(Credential::Identity(Secret::new("id")))
    );
    assert_eq!(home.credential("e", "x").await, None);
    assert_eq!(home.credential("f", "x").await, None);
}

#[tokio::test]
async fn the_first_file_that_knows_counts() {
    let home = Home::with(&config_with("a", OPS))
        .also("one.json", &config_with("b", "MTox"))
        .also("two.json", &config_with("b", "Mjoy"));
    let (found, _) = home.find("b", "x").await;
    let found = found.unwrap();
    assert_eq!(Some(found.credential), password("1", "1"));
    assert!(found.from.ends_with("one.json"));
    assert_eq!(home.credential("a", "x").await, password("ops", "secret"));
}

#[tokio::test]
async fn asks_the_registrys_helper_before_the_common_one_before_the_file() {
    let config = format!(
        r#"{{"credsStore":"common","credHelpers":{{"a":"own"}},"auths":{{"c":{{"auth":"{OPS}"}}}}}}"#
    );
    let nothing = r#"echo "credentials not found in native keychain"; exit 1"#;
    let home = Home::with(&config)
        .helper(
            "own",
            r#"echo "{\"ServerURL\":\"$server\",\"Username\":\"own\",\"Secret\":\"$server\"}""#,
        )
        .helper(
            "common",
            &format!(
                r#"case $server in
                     https://index.docker.io/v1/) echo '{{"Username":"<token>","Secret":"hub"}}' ;;
                     b) echo '{{"Username":"common","Secret":"b"}}' ;;
                     *) {nothing} ;;
                   esac"#
            ),
        );
    assert_eq!(home.credential("a", "x").await, password("own", "a"));
    assert_eq!(home.credential("b", "x").await, password("common", "b"));
    assert_eq!(home.credential("c", "x").await, password("ops", "secret"));
    assert_eq!(home.credential("d", "x").await, None);
    assert_eq!(
        home.credential("docker.io", "x").await,
        Some(Credential::Identity(Secret::new("hub")))
    );
    let (found, _) = home.find("a", "x").await;
    assert_eq!(found.unwrap().from, "docker-credential-own");
}

#[tokio::test]
async fn a_helper_that_does_not_work_is_a_notice_without_its_words() {
    for script in [
        "echo 'secret leak'; exit 1",
        "echo secret",
        "echo '{\"Secret\":\"secret\"}'",
    ] {
        let home = Home::with(r#"{"credsStore":"x"}"#).helper("x", script);
        let (found, notices) = home.find("a", "x").await;
        assert_eq!(found, None);
        assert_eq!(notices.len(), 1, "{script}");
        assert!(notices[0].contains("docker-credential-x"), "{notices:?}");
        assert!(!notices[0].contains("secret"), "{notices:?}");
    }
    let (_, notices) = Home::with(r#"{"credsStore":"missing"}"#)
        .find("a", "x")
        .await;
    assert!(
        notices[0].contains("docker-credential-missing"),
        "{notices:?}"
    );
}

#[tokio::test]
async fn a_helper_is_a_name_and_not_a_path() {
    let home = Home::with(r#"{"credsStore":"/../../x"}"#).helper("x", "exit 0");
    let (found, notices) = home.find("a", "x").await;
    assert_eq!(found, None);
    assert!(
        notices[0].ends_with("it is not a helper's name"),
        "{notices:?}"
    );
}

#[tokio::test]
async fn a_file_that_is_broken_is_a_notice_and_the_next_one_counts() {
    for broken in [
        "{",
        r#"{"auths":{"a":{"auth":7}}}"#,
        r#"{"auths":{"a":{"auth":"c2VjcmV0"}}}"#,
    ] {
        let home = Home::with(broken).also("auth.json", &config_with("a", OPS));
        let (found, notices) = home.find("a", "x").await;
        assert_eq!(
            found.map(|found| found.credential),
            password("ops", "secret"),
            "{broken}"
        );
        assert_eq!(notices.len(), 1, "{broken}");
        assert!(
            notices[0].contains("config.json") && !notices[0].contains("secret"),
            "{notices:?}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_missing_or_empty_is_nothing_to_talk_about() {
    let mut home = Home::with("");
    assert_eq!(home.credential("a", "x").await, None);
    home.settings.docker_config = Some(PathBuf::from("missing.json"));
    assert_eq!(home.credential("a", "x").await, None);
    home.settings.docker_config = Some(Path::new("/").to_owned());
    assert_eq!(home.find("a", "x").await.1.len(), 1);
}

#[tokio::test]
async fn null_is_the_same_as_nothing() {
    for config in [
        r#"{"credHelpers":null,"auths":{"a":{"auth":"OPS"}}}"#,
        r#"{"credsStore":null,"credHelpers":{"a":null,"b":null},"auths":{"a":{"auth":"OPS"}}}"#,
        r#"{"auths":{"b":null,"a":{"auth":"OPS"},"c":null}}"#,
        r#"{"auths":{"a":{"auth":"OPS","username":null,"password":null,"identitytoken":null,"registrytoken":null}}}"#,
        r#"{"auths":{"a":{"auth":null,"username":"ops","password":"secret"}}}"#,
        r#"{"HttpHeaders":null,"auths":{"https://a":null,"a":{"auth":"OPS"}},"plugins":null}"#,
    ] {
        let home = Home::with(&config.replace("OPS", OPS));
        assert_eq!(
            home.credential("a", "x").await,
            password("ops", "secret"),
            "{config}"
        );
    }
    for config in [
        "null",
        r#"{"auths":null}"#,
        r#"{"auths":{"a":null}}"#,
        r#"{"auths":{"a":{"auth":null}}}"#,
    ] {
        assert_eq!(
            Home::with(config).credential("a", "x").await,
            None,
            "{config}"
        );
    }
    let home = Home::with(r#"{"credHelpers":{"a":null},"credsStore":"x"}"#)
        .helper("x", r#"echo '{"Username":"u","Secret":"s"}'"#);
    assert_eq!(home.credential("a", "x").await, password("u", "s"));
}

#[tokio::test]
async fn reads_the_file_as_go_does() {
    for config in [
        r#"{"Auths":{"a":{"Auth":"OPS"}}}"#,
        r#"{"AUTHS":{"a":{"auth":"MTox"}},"auths":{"a":{"auth":"OPS"}}}"#,
        r#"{"auths":{"a":{"auth":"MTox"},"a":{"auth":"OPS"}}}"#,
        r#"{"auths":{},"auths":{"a":{"auth":"OPS"}}}"#,
        "\u{feff}{\"auths\":{\"a\":{\"auth\":\"OPS\"}}}",
        "\u{feff}\r\n {\"auths\":{\"a\":{\"auth\":\"OPS\"}}} \r\n",
    ] {
        let home = Home::with(&config.replace("OPS", OPS));
        assert_eq!(
            home.credential("a", "x").await,
            password("ops", "secret"),
            "{config}"
        );
    }
    assert_eq!(Home::with("\u{feff}").credential("a", "x").await, None);
}

#[tokio::test]
async fn an_auth_may_be_wrapped_unpadded_or_of_the_other_alphabet() {
    for auth in [
        "b3BzOnNl\\nY3JldA==",
        "b3BzOnNl\\r\\nY3JldA==\\r\\n",
        " b3Bz OnNlY3JldA ",
        "\\tb3BzOnNlY3JldA=",
        "b3BzOnNlY3JldA",
    ] {
        let home = Home::with(&config_with("a", auth));
        assert_eq!(
            home.credential("a", "x").await,
            password("ops", "secret"),
            "{auth}"
        );
    }
    // user:???>>> in both alphabets.
    for auth in ["dXNlcjo/Pz8+Pj4=", "dXNlcjo_Pz8-Pj4", "dXNlcjo_Pz8-Pj4="] {
        let home = Home::with(&config_with("a", auth));
        assert_eq!(
            home.credential("a", "x").await,
            password("user", "???>>>"),
            "{auth}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_concerns_no_other_registry() {
    for (broken, name) in [
        (
            r#""bad":{"auth":"%%SECRET"}"#,
            "auths.\"bad\" has an auth that is not base64",
        ),
        (
            r#""bad":{"auth":"U0VDUkVU"}"#,
            "auths.\"bad\" has an auth that is not user:password in base64",
        ),
        (
            r#""bad":{"auth":"/zpTRUNSRVQ="}"#,
            "auths.\"bad\" has an auth that is not UTF-8 in base64",
        ),
        (
            r#""bad":{"auth":["SECRET"]}"#,
            "auths.\"bad\" cannot be read: auth is not a text",
        ),
        (
            r#""bad":{"username":7,"password":"SECRET"}"#,
            "auths.\"bad\" cannot be read: username is not a text",
        ),
        (r#""bad":"SECRET""#, "auths.\"bad\" is not an object"),
        (r#""bad":["SECRET"]"#, "auths.\"bad\" is not an object"),
    ] {
        let home = Home::with(&format!(
            r#"{{"auths":{{{broken},"good":{{"auth":"{OPS}"}}}}}}"#
        ));
        assert_eq!(
            home.credential("good", "x").await,
            password("ops", "secret"),
            "{broken}"
        );
        assert_eq!(home.credential("other", "x").await, None, "{broken}");
        let (found, notices) = home.find("bad", "x").await;
        assert_eq!(found, None);
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(
            notices[0].contains("config.json: ") && notices[0].ends_with(name),
            "{notices:?}"
        );
        assert!(!notices[0].contains("SECRET"), "{notices:?}");
    }
}

#[tokio::test]
async fn a_key_for_all_registries_that_cannot_be_read_is_named() {
    for (broken, name) in [
        (r#""credHelpers":7"#, "credHelpers is not an object"),
        (r#""credsStore":{}"#, "credsStore is not a text"),
    ] {
        let home = Home::with(&format!(
            r#"{{{broken},"auths":{{"a":{{"auth":"{OPS}"}}}}}}"#
        ));
        let (found, notices) = home.find("a", "x").await;
        assert_eq!(
            found.map(|found| found.credential),
            password("ops", "secret")
        );
        assert!(
            notices.len() == 1 && notices[0].ends_with(name),
            "{notices:?}"
        );
    }
    let (_, notices) = Home::with(r#"{"auths":[]}"#).find("a", "x").await;
    assert!(
        notices[0].ends_with("config.json: auths is not an object"),
        "{notices:?}"
    );
    let (_, notices) = Home::with(r#"{"credHelpers":{"a":["x"]}}"#)
        .find("a", "x")
        .await;
    assert!(
        notices[0].ends_with("credHelpers.\"a\" is not a text"),
        "{notices:?}"
    );
    assert_eq!(
        Home::with(r#"{"credHelpers":{"b":["x"]}}"#)
            .credential("a", "x")
            .await,
        None
    );
    for text in [r#"["SECRET"]"#, "\"SECRET\"", "{\"auths\":{},}", "{'a':1}"] {
        let (found, notices) = Home::with(text).find("a", "x").await;
        assert!(found.is_none() && notices.len() == 1, "{text}: {notices:?}");
        assert!(!notices[0].contains("SECRET"), "{notices:?}");
    }
}

#[tokio::test]
async fn utf16_is_called_by_its_name() {
    for utf16 in [
        b"\xff\xfe{\0}\0".as_slice(),
        b"\xfe\xff\0{\0}",
        b"{\0}\0",
        b"\0{\0}",
    ] {
        let home = Home::with("");
        fs::write(home.folder.path().join("config.json"), utf16).unwrap();
        let (found, notices) = home.find("a", "x").await;
        assert_eq!(found, None);
        assert!(
            notices[0].ends_with("config.json: it is UTF-16; save it as UTF-8"),
            "{notices:?}"
        );
    }
}

#[tokio::test]
async fn the_variable_comes_before_files_and_helpers() {
    let helper = r#"echo '{"Username":"helper","Secret":"h"}'"#;
    let home = Home::with(r#"{"credsStore":"x","auths":{"c":{"auth":"MTox"}}}"#)
        .helper("x", helper)
        .variable(&config_with("a", OPS));
    let (found, notices) = home.find("a", "x").await;
    let found = found.unwrap();
    assert_eq!(
        (found.from.as_str(), notices.len()),
        ("DOCKER_AUTH_CONFIG", 0)
    );
    assert_eq!(Some(found.credential), password("ops", "secret"));
    assert_eq!(home.credential("b", "x").await, password("helper", "h"));
    let hub = Home::with("").variable(&config_with("https://index.docker.io/v1/", OPS));
    assert_eq!(
        hub.credential("docker.io", "x").await,
        password("ops", "secret")
    );
}

#[tokio::test]
async fn a_variable_that_cannot_be_read_is_named_and_the_file_counts() {
    for (variable, name) in [
        ("SECRET", "it is not valid (line 1, column 1)"),
        (r#"{"auths":{"a":{}}}"#, "auths.\"a\" has no auth"),
        (r#"{"auths":{"a":null}}"#, "auths.\"a\" has no auth"),
        (
            r#"{"auths":{"a":{"username":"u","password":"SECRET"}}}"#,
            "the key \"password\" is not known there; only auth is",
        ),
        (
            r#"{"credsStore":"SECRET"}"#,
            "the key \"credsStore\" is not known there; only auths is",
        ),
        (
            r#"{"auths":{"a":{"auth":"SECRET!"}}}"#,
            "auths.\"a\" has an auth that is not base64",
        ),
        (
            r#"{"auths":{}} {"auths":{}}"#,
            "it is not valid (line 1, column 14)",
        ),
    ] {
        let home = Home::with(&config_with("a", OPS)).variable(variable);
        let (found, notices) = home.find("a", "x").await;
        assert_eq!(
            found.map(|found| found.credential),
            password("ops", "secret"),
            "{variable}"
        );
        let first = &notices[0];
        assert!(
            first.contains("from DOCKER_AUTH_CONFIG: ") && first.ends_with(name),
            "{first}"
        );
        assert!(!first.contains("SECRET"), "{first}");
    }
    // One entry that cannot be read is nothing to the others.
    let two = format!(r#"{{"auths":{{"bad":{{"auth":"!"}},"a":{{"auth":"{OPS}"}}}}}}"#);
    let home = Home::with("").variable(&two);
    assert_eq!(home.credential("a", "x").await, password("ops", "secret"));
    for nothing in ["", " ", "{}", "null", r#"{"auths":null}"#] {
        let home = Home::with("").variable(nothing);
        assert_eq!(home.credential("a", "x").await, None, "{nothing}");
    }
}

proptest! {
    #[test]
    fn no_file_is_a_panic(text in "\\PC{0,200}") {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, text).unwrap();
        drop(config::read(&path));
    }

    #[test]
    fn reads_back_any_password(user in "[^:\\x00]{1,20}", secret in "[^\\x00]{1,40}") {
        use base64::Engine as _;
        prop_assume!(user != config::TOKEN_USER);
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}"));
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, config_with("a", &auth)).unwrap();
        let file = config::read(&path).unwrap().unwrap();
        let stored = file.stored(&Asked { registry: "a", repository: "x" }).unwrap();
        prop_assert_eq!(stored, password(&user, &secret));
    }
}
