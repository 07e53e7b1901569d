use super::*;
use std::os::unix::fs::symlink;

fn settings(folder: &Path) -> CredentialSettings {
    CredentialSettings {
        docker_config: Some(folder.join("config.json")),
        helper_path: Some(folder.as_os_str().to_owned()),
        ..CredentialSettings::default()
    }
}

fn text(folder: &Path) -> String {
    fs::read_to_string(folder.join("config.json")).unwrap()
}

#[tokio::test]
async fn a_new_file_is_docker_s_and_its_owner_s_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/config.json");
    let settings = CredentialSettings {
        docker_config: Some(path.clone()),
        ..settings(folder.path())
    };
    let plain = store(&settings, "a:5000", &Login::new("ops", "secret"), None)
        .await
        .unwrap();
    assert_eq!(plain.as_ref(), Some(&path));
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "{\n\t\"auths\": {\n\t\t\"a:5000\": {\n\t\t\t\"auth\": \"b3BzOnNlY3JldA==\"\n\t\t}\n\t}\n}"
    );
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // The same once more changes nothing, and needs no warning.
    assert_eq!(
        store(&settings, "a:5000", &Login::new("ops", "secret"), None)
            .await
            .unwrap(),
        None
    );
    erase(&settings, &["a:5000".to_owned()]).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\n\t\"auths\": {}\n}");
}

#[tokio::test]
async fn what_else_is_in_the_file_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let before = "{\n\t\"x-unknown\": [1,  2.50],\n\t\"auths\": {\n\t\t\"z\": {\n\t\t\t\"auth\": \"eg==\",\n\
                  \t\t\t\"odd\": 1\n\t\t}\n\t},\n\t\"psFormat\": \"table {{.ID}}\"\n}";
    let real = folder.path().join("real.json");
    fs::write(&real, before).unwrap();
    fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
    symlink("real.json", folder.path().join("config.json")).unwrap();
    let settings = settings(folder.path());
    store(
        &settings,
        "a",
        &Login::new("u", "p"),
        Some(&Secret::new("t")),
    )
    .await
    .unwrap();
    let entry =
        "\"a\": {\n\t\t\t\"auth\": \"dTo=\",\n\t\t\t\"identitytoken\": \"t\"\n\t\t},\n\t\t\"z\"";
    assert_eq!(text(folder.path()), before.replace("\"z\"", entry));
    assert_eq!(
        fs::metadata(&real).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert!(
        fs::symlink_metadata(folder.path().join("config.json"))
            .unwrap()
            .is_symlink()
    );
    erase(&settings, &["a".to_owned()]).await.unwrap();
    assert_eq!(text(folder.path()), before);
}

#[tokio::test]
async fn a_helper_keeps_what_the_file_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let helper = folder.path().join("docker-credential-keeper");
    let log = folder.path().join("log");
    let script = format!(
        "#!/bin/sh\necho \"$1\" >>'{0}'\n/bin/cat >>'{0}'\necho >>'{0}'\n",
        log.display()
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, Permissions::from_mode(0o755)).unwrap();
    fs::write(
        folder.path().join("config.json"),
        r#"{"credsStore":"keeper"}"#,
    )
    .unwrap();
    let settings = settings(folder.path());
    let plain = store(&settings, "a", &Login::new("ops", "secret"), None)
        .await
        .unwrap();
    assert_eq!(plain, None);
    assert!(!text(folder.path()).contains("b3Bz"));
    erase(&settings, &["a".to_owned()]).await.unwrap();
    let told = fs::read_to_string(log).unwrap();
    assert_eq!(
        told,
        "store\n{\"Secret\":\"secret\",\"ServerURL\":\"a\",\"Username\":\"ops\"}\n\nerase\na\n\n"
    );
}

#[tokio::test]
async fn a_file_that_is_not_json_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("config.json"),
        "{\"auths\": {\"a\": {\"auth\": \"c2VjcmV0",
    )
    .unwrap();
    let settings = settings(folder.path());
    let error = store(&settings, "a", &Login::new("u", "p"), None)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("it is not valid (line 1"),
        "{error}"
    );
    assert!(!error.to_string().contains("c2VjcmV0"), "{error}");
    assert!(text(folder.path()).ends_with("c2VjcmV0"));
}

#[tokio::test]
async fn nulls_and_odd_keys_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let before = "{\n\t\"auths\": {\n\t\t\"n\": null,\n\t\t\"s\": \"odd\"\n\t},\n\t\"credHelpers\": null,\n\
                  \t\"credsStore\": null,\n\t\"HttpHeaders\": null\n}";
    for mark in ["", "\u{feff}"] {
        fs::write(folder.path().join("config.json"), format!("{mark}{before}")).unwrap();
        let settings = settings(folder.path());
        store(&settings, "a", &Login::new("u", "p"), None)
            .await
            .unwrap();
        let after = text(folder.path());
        assert!(
            after.contains("\"auth\": \"dTpw\"") && after.contains("\"n\": null"),
            "{after}"
        );
        erase(&settings, &["a".to_owned()]).await.unwrap();
        assert_eq!(text(folder.path()), before);
    }
}

#[tokio::test]
async fn a_file_of_nothing_is_begun_anew() {
    for nothing in ["null", "", "\u{feff}", "{\"auths\":null}"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), nothing).unwrap();
        let settings = settings(folder.path());
        store(&settings, "a", &Login::new("u", "p"), None)
            .await
            .unwrap();
        assert!(
            text(folder.path()).contains("\"auth\": \"dTpw\""),
            "{nothing}"
        );
    }
}

#[tokio::test]
async fn a_password_never_goes_to_the_file_in_place_of_a_helper_that_cannot_be_read() {
    for config in [
        r#"{"credHelpers":7}"#,
        r#"{"credHelpers":{"a":7}}"#,
        r#"{"credsStore":["x"]}"#,
        "{\0\"\0",
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), config).unwrap();
        let settings = settings(folder.path());
        assert!(
            store(&settings, "a", &Login::new("u", "p"), None)
                .await
                .is_err(),
            "{config}"
        );
        assert_eq!(text(folder.path()), config);
    }
}

#[tokio::test]
async fn another_registry_s_null_hides_no_helper() {
    let folder = tempfile::tempdir().unwrap();
    let helper = folder.path().join("docker-credential-keeper");
    fs::write(&helper, "#!/bin/sh\n/bin/cat >/dev/null\n").unwrap();
    fs::set_permissions(&helper, Permissions::from_mode(0o755)).unwrap();
    let config = r#"{"credHelpers":{"b":null,"a":"keeper","c":7},"credsStore":null}"#;
    fs::write(folder.path().join("config.json"), config).unwrap();
    let settings = settings(folder.path());
    let plain = store(&settings, "a", &Login::new("ops", "secret"), None)
        .await
        .unwrap();
    assert_eq!(plain, None);
    assert!(!text(folder.path()).contains("b3Bz"));
}
