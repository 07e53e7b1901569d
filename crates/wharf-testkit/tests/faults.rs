//! Every fault does what it says, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use reqwest::{Client, Response};
use wharf_core::Digest;
use wharf_testkit::{BuiltImage, Fault, Image, On, TestRegistry, When};

/// Longer than any socket buffer is not needed: a body of several pieces is.
const LAYER: usize = 700_000;

struct Setup {
    registry: TestRegistry,
    image: BuiltImage,
    client: Client,
}

impl Setup {
    fn new() -> Self {
        let registry = TestRegistry::start();
        let image = Image::random(3, 1, LAYER).build();
        registry.push("team/app:1", &image);
        let redirect = reqwest::redirect::Policy::none();
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect)
            .build()
            .unwrap();
        Self {
            registry,
            image,
            client,
        }
    }

    fn digest(&self) -> &Digest {
        &self.image.layers[0].digest
    }

    fn layer(&self) -> &[u8] {
        &self.image.blobs[1].1
    }

    fn once(&self, fault: Fault) {
        self.registry.fault(On::blobs(), When::Times(1), fault);
    }

    async fn blob(&self) -> reqwest::Result<Response> {
        let url = format!(
            "{}/v2/team/app/blobs/{}",
            self.registry.url(),
            self.digest()
        );
        self.client.get(url).send().await
    }

    async fn part(&self, range: &str) -> Response {
        let url = format!(
            "{}/v2/team/app/blobs/{}",
            self.registry.url(),
            self.digest()
        );
        self.client
            .get(url)
            .header("range", range)
            .send()
            .await
            .unwrap()
    }

    async fn manifest(&self) -> Response {
        let url = format!("{}/v2/team/app/manifests/1", self.registry.url());
        self.client.get(url).send().await.unwrap()
    }

    /// The fault is over: the next answer is right.
    async fn assert_right(&self) {
        let bytes = self.blob().await.unwrap().bytes().await.unwrap();
        assert_eq!(bytes, self.layer());
    }
}

/// The bytes that come before the body breaks, and whether it does.
async fn read(mut response: Response) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return (bytes, false),
            Err(_) => return (bytes, true),
        }
    }
}

#[tokio::test]
async fn cuts_after_as_many_bytes_as_it_is_told() {
    let setup = Setup::new();
    for after in [0, 1, 1000, 300_000] {
        setup.once(Fault::Cut(after));
        let response = setup.blob().await.unwrap();
        assert_eq!(response.content_length(), Some(setup.layer().len() as u64));
        let (bytes, broken) = read(response).await;
        assert!(broken);
        assert_eq!(bytes, setup.layer()[..usize::try_from(after).unwrap()]);
        setup.registry.behave();
    }
    setup.assert_right().await;
}

#[tokio::test]
async fn hangs_up_and_resets_without_an_answer() {
    let setup = Setup::new();
    // A client that keeps connections tries a broken one again: always, then.
    setup
        .registry
        .fault(On::blobs(), When::Always, Fault::Hangup);
    assert!(setup.blob().await.is_err());
    setup.registry.behave();
    setup.assert_right().await;

    let setup = Setup::new();
    setup.registry.reset_connections(100);
    assert!(setup.blob().await.is_err());
    setup.registry.behave();
    setup.assert_right().await;
}

#[tokio::test]
async fn stalls_without_closing() {
    let setup = Setup::new();
    setup.once(Fault::Stall(5000));
    let response = setup.blob().await.unwrap();
    let mut response = response;
    let mut bytes = Vec::new();
    while bytes.len() < 5000 {
        bytes.extend_from_slice(&response.chunk().await.unwrap().unwrap());
    }
    assert_eq!(bytes, setup.layer()[..5000]);
    let more = tokio::time::timeout(Duration::from_millis(50), response.chunk()).await;
    assert!(more.is_err(), "the connection stays open and nothing comes");
    setup.assert_right().await;
}

#[tokio::test]
async fn answers_with_a_status() {
    let setup = Setup::new();
    for status in [403, 404, 500, 502, 503] {
        setup.once(Fault::Status(status));
        let response = setup.blob().await.unwrap();
        assert_eq!(response.status(), status);
        assert!(response.text().await.unwrap().starts_with("{\"errors\":"));
        setup.registry.behave();
    }
    setup.once(Fault::TooManyRequests { retry_after: 7 });
    let response = setup.blob().await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    setup.assert_right().await;
}

#[tokio::test]
async fn flips_one_byte() {
    let setup = Setup::new();
    setup.once(Fault::Flip(400_000));
    let (bytes, broken) = read(setup.blob().await.unwrap()).await;
    assert!(!broken);
    let wrong: Vec<usize> = (0..bytes.len())
        .filter(|&n| bytes[n] != setup.layer()[n])
        .collect();
    assert_eq!(wrong, [400_000]);
    setup.assert_right().await;
}

#[tokio::test]
async fn lies_about_the_length() {
    let setup = Setup::new();
    let len = setup.layer().len();
    setup.once(Fault::Longer(10));
    let response = setup.blob().await.unwrap();
    assert_eq!(response.content_length(), Some(len as u64 + 10));
    let (bytes, broken) = read(response).await;
    assert!(broken && bytes == setup.layer());
    setup.registry.behave();

    setup.once(Fault::Shorter(10));
    let response = setup.blob().await.unwrap();
    assert_eq!(response.content_length(), Some(len as u64 - 10));
    let (bytes, broken) = read(response).await;
    assert!(!broken && bytes == setup.layer()[..len - 10]);
    setup.assert_right().await;
}

#[tokio::test]
async fn plays_with_ranges() {
    let setup = Setup::new();
    setup.once(Fault::NoRanges);
    let response = setup.part("bytes=5-9").await;
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("accept-ranges"));
    assert_eq!(response.bytes().await.unwrap(), setup.layer());
    setup.registry.behave();

    setup.once(Fault::RangeNotSatisfiable);
    assert_eq!(setup.part("bytes=5-9").await.status(), 416);
    setup.registry.behave();

    setup.once(Fault::WrongRange);
    let response = setup.part("bytes=5-9").await;
    assert_eq!(response.headers()["content-range"], "bytes 1-2/3");
    setup.registry.behave();

    let right = setup.part("bytes=5-9").await;
    assert_eq!(
        right.headers()["content-range"],
        format!("bytes 5-9/{}", setup.layer().len())
    );
    assert_eq!(right.bytes().await.unwrap(), setup.layer()[5..10]);
}

#[tokio::test]
async fn lies_in_headers_and_bodies() {
    let setup = Setup::new();
    let registry = &setup.registry;
    registry.fault(On::manifests(), When::Times(1), Fault::WrongDigest);
    let digest = setup.manifest().await.headers()["docker-content-digest"].clone();
    assert_ne!(digest, setup.image.manifest.digest.as_str());
    registry.behave();

    registry.fault(
        On::manifests(),
        When::Always,
        Fault::ContentType("text/html".into()),
    );
    assert_eq!(
        setup.manifest().await.headers()["content-type"],
        "text/html"
    );
    registry.behave();

    setup.once(Fault::ContentEncoding("gzip".into()));
    assert_eq!(
        setup.blob().await.unwrap().headers()["content-encoding"],
        "gzip"
    );
    registry.behave();

    registry.lie("team/app", "1", "text/plain", "not a manifest".into());
    assert_eq!(
        setup.manifest().await.text().await.unwrap(),
        "not a manifest"
    );
}

#[tokio::test]
async fn redirects_to_an_origin_that_tells_whether_credentials_came() {
    let setup = Setup::new();
    setup.once(Fault::Redirect);
    let response = setup.blob().await.unwrap();
    assert_eq!(response.status(), 307);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    assert!(location.starts_with(setup.registry.other_url()));
    let request = setup
        .client
        .get(&location)
        .header("authorization", "Bearer secret");
    assert_eq!(
        request.send().await.unwrap().bytes().await.unwrap(),
        setup.layer()
    );
    let requests = setup.registry.requests();
    assert_eq!(requests[1].origin, wharf_testkit::registry::Origin::Other);
    assert_eq!(requests[1].authorization.as_deref(), Some("Bearer"));
}

#[tokio::test]
async fn slows_down() {
    let setup = Setup::new();
    let every = Duration::from_millis(1);
    setup.once(Fault::Slow {
        bytes: 100_000,
        every,
    });
    let begun = std::time::Instant::now();
    let (bytes, broken) = read(setup.blob().await.unwrap()).await;
    assert!(!broken && bytes == setup.layer());
    assert!(begun.elapsed() >= every * 7);
}

#[tokio::test]
async fn chooses_requests_and_times() {
    let setup = Setup::new();
    let registry = &setup.registry;
    registry.fault(
        On::digest(setup.digest()).ranged(true),
        When::After(1),
        Fault::Status(503),
    );
    assert_eq!(setup.blob().await.unwrap().status(), 200);
    assert_eq!(setup.part("bytes=0-1").await.status(), 206);
    assert_eq!(setup.part("bytes=0-1").await.status(), 503);
    assert_eq!(setup.part("bytes=0-1").await.status(), 206);
    assert_eq!(registry.faults_happened(), 1);
}

#[tokio::test]
async fn misbehaves_the_same_way_for_the_same_seed() {
    let run = async |seed| {
        let setup = Setup::new();
        setup.registry.misbehave(seed, 0.5);
        for _ in 0..20 {
            // Whether it fails is what is recorded, by the registry.
            setup.manifest_or_nothing().await;
        }
        setup
            .registry
            .requests()
            .iter()
            .map(|request| request.status())
            .collect::<Vec<_>>()
    };
    let (first, same, other) = (run(5).await, run(5).await, run(6).await);
    assert_eq!(first, same);
    assert_ne!(first, other);
    assert!(first.contains(&200) && first.iter().any(|&status| status != 200));
}

impl Setup {
    async fn manifest_or_nothing(&self) {
        // No connection is used twice: a kept one that broke would be tried again or not, by chance.
        let client = Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        let url = format!("{}/v2/team/app/manifests/1", self.registry.url());
        if let Ok(response) = client.get(url).send().await {
            read(response).await;
        }
    }
}
