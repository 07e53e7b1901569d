//! A registry on loopback that counts, and fails as it is told.
//!
//! | module | what it holds |
//! |---|---|
//! | [`faults`] | which request fails, when, and how |
//! | [`log`] | what was asked, and what was sent |
//! | `auth` | who may |
//! | `answer` | the way of one request |
//! | `shape` | answers, bent |
//! | `connections` | the sockets |
//!
//! It runs on threads of its own, so it serves a test without a runtime, a test with one, and child
//! processes alike. Dropping it ends it.
//!
//! The registry inside is wharf's own (`wharf_server::registry`) over any backend; what is around
//! it is only here.

mod answer;
mod auth;
pub(crate) mod connections;
pub mod faults;
pub mod log;
mod shape;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{io, thread};

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio_rustls::TlsAcceptor;
use wharf_core::{Descriptor, Digest, Manifest, Reference};
use wharf_server::registry::backend::{NewManifest, Repository};
use wharf_server::registry::{Backend, Options, describe_referrer, router};

pub use auth::Auth;
pub use faults::{Fault, On, When};
pub use log::{Origin, Request};

use crate::certs::{self, Authority, Flaw, Identity};
use crate::images::Content;
use crate::memory::MemoryBackend;
use crate::ports;
use crate::token::{Counts, TokenService};
use answer::Shared;
use auth::Door;
use connections::Server;
use faults::Faults;
use log::Log;

/// How a registry speaks TLS.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tls {
    /// What is wrong with its certificate.
    pub flaw: Flaw,
    /// Must clients have a certificate, too?
    pub clients: bool,
}

/// A registry in the making.
pub struct Builder {
    listener: TcpListener,
    auth: Auth,
    tls: Option<Tls>,
    backend: Arc<dyn Backend>,
    seed: u64,
}

/// A running registry.
pub struct TestRegistry {
    shared: Arc<Shared>,
    servers: Vec<Server>,
    authority: Option<Authority>,
    clients: Option<Identity>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Builder {
    /// Listens here, instead of on any free port.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.listener = ports::exactly(address);
        self
    }

    /// Listens on a port of four digits, so that its address is as long as `127.0.0.1:5000`.
    #[must_use]
    pub fn four_digit_port(mut self) -> Self {
        self.listener = ports::four_digits();
        self
    }

    /// Asks its clients who they are.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// Speaks TLS, with an authority of its own.
    #[must_use]
    pub const fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Keeps its content there, instead of in memory.
    #[must_use]
    pub fn backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.backend = backend;
        self
    }

    /// Decides by this seed what happens by chance.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// If this machine has no loopback, threads or ports left.
    pub fn start(self) -> TestRegistry {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("test-registry")
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let authority = self.tls.map(|_| Authority::new("an authority for tests"));
        let mut clients = None;
        let acceptor = self.tls.zip(authority.as_ref()).map(|(tls, authority)| {
            clients = tls.clients.then(|| authority.client("a client for tests"));
            let identity = authority.server(tls.flaw);
            let clients = tls.clients.then_some(authority);
            TlsAcceptor::from(Authority::server_config(&identity, clients))
        });
        let other = ports::any();
        let address = |listener: &TcpListener| listener.local_addr().expect("it is bound");
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            router: router(Arc::clone(&self.backend), Options::default()),
            backend: self.backend,
            door: Door::new(self.auth),
            faults: Faults::new(self.seed),
            log: Log::default(),
            resets: AtomicU64::new(0),
            address: address(&self.listener),
            base: format!("{scheme}://{}", address(&self.listener)),
            other_base: format!("{scheme}://{}", address(&other)),
        });
        let servers = [(Origin::Registry, self.listener), (Origin::Other, other)]
            .map(|(origin, listener)| {
                let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
                Server::start(runtime.handle(), listener, acceptor, shared, origin)
            })
            .into();
        TestRegistry {
            shared,
            servers,
            authority,
            clients,
            runtime: Some(runtime),
        }
    }
}

impl TestRegistry {
    /// A registry in the making: plain http, no questions asked, on any free port, in memory.
    pub fn builder() -> Builder {
        Builder {
            listener: ports::any(),
            auth: Auth::None,
            tls: None,
            backend: Arc::new(MemoryBackend::new()),
            seed: 0,
        }
    }

    /// An empty registry: plain http, no questions asked.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A registry on a port of four digits with the images of the recorded scenarios.
    ///
    /// # Panics
    /// If the fixtures are missing.
    pub fn with_fixtures() -> Self {
        let registry = Self::builder().four_digit_port().start();
        crate::fixtures::Layout::of_the_scenarios().push_all(&registry);
        registry
    }

    /// Its address, as it stands in references: `127.0.0.1:5123`.
    pub fn host(&self) -> String {
        self.shared.address.to_string()
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Its address as an URL, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.shared.base
    }

    /// The other origin's address as an URL: where [`Fault::Redirect`] leads.
    pub fn other_url(&self) -> &str {
        &self.shared.other_base
    }

    /// The full name of an image in it: `127.0.0.1:5123/team/app:1`.
    pub fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.host())
    }

    /// The same, parsed.
    ///
    /// # Panics
    /// If it isn't a name.
    pub fn reference(&self, name: &str) -> Reference {
        self.name(name).parse().expect("a test's name is valid")
    }

    /// Puts an image under a name: `team/app:1`, or without a tag.
    ///
    /// # Panics
    /// If it is incomplete.
    pub fn push(&self, name: &str, content: &impl Content) {
        let (repository, tag) = split(name);
        for (descriptor, bytes) in content.blobs() {
            self.push_blob(&repository, &descriptor.digest, bytes);
        }
        for (descriptor, bytes) in content.manifests() {
            let tag = tag.filter(|_| descriptor.digest == content.root().digest);
            self.push_manifest(&repository, tag, &descriptor, bytes);
        }
    }

    /// Puts one blob into a repository.
    ///
    /// # Panics
    /// If its bytes are not those of the digest.
    pub fn push_blob(&self, repository: &str, digest: &Digest, bytes: bytes::Bytes) {
        let (backend, digest) = (Arc::clone(&self.shared.backend), digest.clone());
        let repository = parse(repository);
        self.wait(async move {
            let id = backend.begin_upload(&repository)?;
            let body = stream::iter([Ok(bytes)]).boxed();
            backend.append(&repository, &id, 0, body).await?;
            backend.finish_upload(&repository, &id, &digest).await
        })
        .expect("a test's blob is right");
    }

    /// Puts one manifest into a repository.
    ///
    /// # Panics
    /// If it is not valid, or what it needs is missing.
    pub fn push_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        descriptor: &Descriptor,
        raw: bytes::Bytes,
    ) {
        let manifest =
            Manifest::parse(&descriptor.media_type, raw).expect("a test's manifest is valid");
        let subject = match &manifest.kind {
            wharf_core::manifest::Kind::Index(index) => index.subject.clone(),
            wharf_core::manifest::Kind::Image(parts)
            | wharf_core::manifest::Kind::Artifact(parts) => parts.subject.clone(),
        };
        let referrer = subject.map(|subject| (subject.digest, describe_referrer(&manifest)));
        let new = NewManifest {
            manifest,
            tag: tag.map(str::to_owned),
            referrer,
        };
        let backend = Arc::clone(&self.shared.backend);
        let repository = parse(repository);
        self.wait(async move { backend.put_manifest(&repository, &new).await })
            .expect("a test's manifest is complete");
    }

    /// Serves `raw` for a tag or digest, whatever it is: for lies that no registry would store.
    pub fn lie(&self, repository: &str, reference: &str, media_type: &str, raw: bytes::Bytes) {
        let on = On::path(&format!("/v2/{repository}/manifests/{reference}"));
        let fault = Fault::Body {
            media_type: media_type.to_owned(),
            bytes: raw,
        };
        self.fault(on, When::Always, fault);
    }

    /// Makes requests fail from now on. Of several rules for one request, the first one whose
    /// turn it is decides.
    pub fn fault(&self, on: On, when: When, fault: Fault) {
        self.shared.faults.add(on, when, fault);
    }

    /// Makes requests fail by chance, in all the ways that a client must survive.
    pub fn misbehave(&self, seed: u64, probability: f64) {
        self.shared.faults.reseed(seed);
        self.fault(On::any(), When::Chance(probability), Fault::Any);
    }

    /// Resets the next `count` connections before a word is said.
    pub fn reset_connections(&self, count: u64) {
        self.shared.resets.store(count, Ordering::SeqCst);
    }

    /// Behaves again.
    pub fn behave(&self) {
        self.shared.faults.clear();
        self.shared.resets.store(0, Ordering::SeqCst);
    }

    /// How many faults have happened.
    pub fn faults_happened(&self) -> u64 {
        self.shared.faults.happened()
    }

    /// All requests so far, to both origins and to the token service.
    pub fn requests(&self) -> Vec<Arc<Request>> {
        self.shared.log.all()
    }

    /// What it was asked and what it answered, for whoever looks for the reason of a failure.
    pub fn story(&self) -> String {
        let mut story = format!("{} was asked:\n", self.shared.base);
        for request in self.requests() {
            let range = request.range.as_deref().unwrap_or("-");
            let authorization = request.authorization.as_deref().unwrap_or("-");
            story.push_str(&format!(
                "  {:?} {} {} range {range} authorization {authorization} -> {} ({} bytes)\n",
                request.origin,
                request.method,
                request.path,
                request.status(),
                request.sent(),
            ));
        }
        story
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.shared.log.clear();
    }

    /// How often a blob was asked for by GET.
    pub fn blob_gets(&self, digest: &Digest) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.blob().as_ref() == Some(digest))
            .count()
    }

    /// How many bytes of a blob were sent: see [`Request::sent`].
    pub fn bytes_served(&self, digest: &Digest) -> u64 {
        let all = self.requests();
        let of_it = all
            .iter()
            .filter(|request| request.blob().as_ref() == Some(digest));
        of_it.map(|request| request.sent()).sum()
    }

    /// Its token service.
    pub fn tokens(&self) -> Option<&TokenService> {
        self.shared.door.token_service().map(Arc::as_ref)
    }

    /// How often its token service was asked.
    pub fn token_counts(&self) -> Counts {
        self.tokens().map(TokenService::counts).unwrap_or_default()
    }

    /// Who signed its certificate.
    pub const fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// Writes into a `certs.d` what a client must know of it.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn write_certs_d(&self, folder: &Path) -> io::Result<()> {
        certs::write_certs_d(
            folder,
            &self.host(),
            self.authority.as_ref(),
            self.clients.as_ref(),
        )
    }

    /// Waits for `task`, which runs on the registry's threads: so this works inside another runtime.
    fn wait<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> T {
        let runtime = self.runtime.as_ref().expect("it runs until it is dropped");
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        runtime.spawn(async move { drop(send.send(task.await)) });
        receive.recv().expect("the task does not panic")
    }
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        // The port is free again when this returns.
        self.servers.drain(..).for_each(Server::stop);
        if let Some(runtime) = self.runtime.take() {
            // A connection that stalls on purpose would be waited for.
            runtime.shutdown_background();
        }
        if thread::panicking() {
            tell(&self.story());
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the output of a failed test is where its reader looks"
)]
fn tell(story: &str) {
    eprintln!("{story}");
}

fn split(name: &str) -> (String, Option<&str>) {
    match name.rsplit_once(':') {
        Some((repository, tag)) => (repository.to_owned(), Some(tag)),
        None => (name.to_owned(), None),
    }
}

fn parse(repository: &str) -> Repository {
    repository.parse().expect("a test's repository is valid")
}
