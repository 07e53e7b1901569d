//! The lines of parity/02, 03 and 24.

use super::*;

fn heading(text: &str) -> String {
    let (what, heading) = words::heading(&text.parse().unwrap());
    format!("{what}: {heading}\n")
}

#[test]
fn names_what_is_pulled_as_docker_does() {
    let digest = "sha256:98cb9f8678c61cf45f7fd539c137a4d681b54c7c7f0ce9222fcac9178eeb8a66";
    assert_eq!(
        heading("busybox:musl"),
        "musl: Pulling from library/busybox\n"
    );
    assert_eq!(
        heading("127.0.0.1:5000/team/app:1.1"),
        "1.1: Pulling from team/app\n"
    );
    let full = format!("docker.io/library/busybox@{digest}: Pulling from library/busybox\n");
    assert_eq!(heading(&format!("busybox@{digest}")), full);
    assert_eq!(heading(&format!("busybox:musl@{digest}")), full);
}

#[test]
fn says_whether_anything_was_new() {
    let reference: Reference = "docker.io/library/busybox:musl".parse().unwrap();
    assert_eq!(
        status(&reference, true),
        "Status: Downloaded newer image for busybox:musl\n"
    );
    assert_eq!(
        status(&reference, false),
        "Status: Image is up to date for busybox:musl\n"
    );
}

#[test]
fn a_pipe_gets_a_line_per_change() {
    let (mut plain, digest) = (plain::Plain::default(), Digest::of(b"layer"));
    let lines: String = [
        LayerStatus::Waiting { total: 2 },
        LayerStatus::Downloading { done: 1, total: 2 },
        LayerStatus::Retrying {
            seconds: 1,
            reason: "connection reset".into(),
        },
        LayerStatus::Downloading { done: 2, total: 2 },
        LayerStatus::Verifying,
        LayerStatus::Verifying,
        LayerStatus::Downloaded,
        LayerStatus::Complete,
    ]
    .iter()
    .filter_map(|status| plain.line(&digest, status))
    .collect();
    let id = digest.short();
    assert_eq!(
        lines,
        format!(
            "{id}: Pulling fs layer\n{id}: Retrying in 1 second (connection reset)\n\
             {id}: Verifying Checksum\n{id}: Download complete\n{id}: Pull complete\n"
        )
    );
}
