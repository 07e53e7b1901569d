//! The test registry as a program, and the command under test with a world of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use reqwest::Client;
use wharf_testkit::Wharf;
use wharf_testkit::images::samples;

/// A program that is killed when the test is over.
struct Program {
    child: Child,
    address: String,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_test-registry"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        Self {
            child,
            address: address.trim().to_owned(),
        }
    }

    async fn status(&self, path: &str) -> u16 {
        let client = Client::builder().no_proxy().build().unwrap();
        let url = format!("http://{}{path}", self.address);
        client.get(url).send().await.unwrap().status().as_u16()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn a_script_starts_a_registry_with_faults() {
    let fault = "manifests:times=1:status=503";
    let program = Program::start(&["registry", "--sample", "--fault", fault, "--seed", "4"]);
    let path = "/v2/team/app/manifests/1";
    assert_eq!(program.status(path).await, 503);
    assert_eq!(program.status(path).await, 200);
}

#[tokio::test]
async fn a_script_starts_a_token_service_for_another_registry() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("token.crt");
    let certificate = certificate.to_str().unwrap();
    let arguments = [
        "token-service",
        "--user",
        "user:secret",
        "--certificate",
        certificate,
    ];
    let program = Program::start(&arguments);
    assert_eq!(
        program
            .status("/token?service=x&scope=repository:a:pull")
            .await,
        401
    );
    let pem = std::fs::read_to_string(certificate).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
}

#[tokio::test]
async fn a_script_puts_tls_in_front_of_a_registry() {
    let registry = Program::start(&["registry"]);
    let folder = tempfile::tempdir().unwrap();
    let certs = folder.path().to_str().unwrap();
    let arguments = [
        "tls-proxy",
        "--upstream",
        &registry.address,
        "--certs-d",
        certs,
    ];
    let proxy = Program::start(&arguments);
    let pem = std::fs::read(folder.path().join(&proxy.address).join("ca.crt")).unwrap();
    let root = reqwest::Certificate::from_pem(&pem).unwrap();
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([root])
        .build()
        .unwrap();
    let answer = client
        .get(format!("https://{}/v2/", proxy.address))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}

#[test]
fn a_script_that_makes_a_mistake_is_told() {
    for arguments in [
        &["registry", "--nothing"][..],
        &["registry", "--fault", "boom"],
        &[],
    ] {
        let program = env!("CARGO_BIN_EXE_test-registry");
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("ON:WHEN:HOW"));
    }
}

#[test]
fn a_command_sees_nothing_of_the_test_s_own_environment() {
    let shell = Wharf::new("/bin/sh").env("EXTRA", "1");
    let output = shell.run([
        "-c",
        "echo $WHARF_ROOT; echo $CARGO_MANIFEST_DIR; echo $EXTRA; exit 3",
    ]);
    assert_eq!(output.stdout, format!("{}\n\n1\n", shell.root().display()));
    assert_eq!(output.code, Some(3));
    assert_eq!(shell.ok(["-c", "cat $WHARF_CONFIG; echo ok"]), "ok\n");
}

#[test]
fn a_command_can_be_killed() {
    let shell = Wharf::new("/bin/sh");
    let mut running = shell.spawn(["-c", "exec sleep 600"]);
    assert!(running.id() > 0);
    running.kill().unwrap();
    assert_eq!(running.wait().unwrap(), None);
}

#[test]
fn a_layout_in_a_folder_reads_as_one_in_an_archive() {
    let image = samples::small();
    let folder = tempfile::tempdir().unwrap();
    let blobs = folder.path().join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    for (descriptor, bytes) in &image.blobs {
        std::fs::write(blobs.join(descriptor.digest.hex()), bytes).unwrap();
    }
    std::fs::write(blobs.join(image.manifest.digest.hex()), &image.raw).unwrap();
    let mut entry = serde_json::to_value(&image.manifest).unwrap();
    entry["annotations"]["org.opencontainers.image.ref.name"] = "team/app:1".into();
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [entry] });
    std::fs::write(folder.path().join("index.json"), index.to_string()).unwrap();

    let layout = wharf_testkit::fixtures::Layout::read_folder(folder.path()).unwrap();
    let registry = wharf_testkit::TestRegistry::start();
    layout.push_all(&registry);
    assert_eq!(layout.names().next().unwrap().0, "team/app:1");
    assert_eq!(layout.blob(&image.manifest.digest), Some(&image.raw));
}
