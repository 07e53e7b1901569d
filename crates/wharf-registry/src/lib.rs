//! A client for image registries: addresses, TLS, credentials, mirrors, retry, resume.
//!
//! | module | what it does |
//! |---|---|
//! | [`settings`] | what the client must be told: plain data |
//! | [`error`] | what can go wrong, of which kind it is, what to do about it |
//! | [`source`], [`sink`] | one repository, as a source of content, and as a place for it |
//! | `manifests`, `blobs` (and `range`), `tags`, `referrers` | what is asked for: a manifest, a blob's bytes until the last, tags, signatures |
//! | `uploads`, `payload` | what is sent: a blob until its last byte is there; a request's body |
//! | `client` | one request: the places in turn, with authorization |
//! | `place`, `probe` | where a registry's content can be had, and by which scheme |
//! | `auth`, `credentials` | challenges and tokens; `config.json`, `auth.json`, helpers |
//! | `link` | where a list in pages goes on |
//! | `no_proxy` | what is reached without a proxy |
//! | `rate` | the least progress of a transfer |
//! | `web` | a file of a web server that is no registry |
//! | `exchange` | one request, its redirects followed, its body bounded |
//! | `answer`, `connect` | what a refusal, and a connection's failure, mean |
//! | `search` | Docker Hub's search |
//! | `login` | are a user name and a password good, and where are they kept |
//! | `retry` | pauses |
//! | `http`, `tls` | the only place that builds a client; `certs.d` |
//! | `redact` | what must not be seen |
//!
//! Why not a ready-made client: none of them resumes a blob where it broke, renews a token in the
//! middle of a pull, and takes mirrors for any registry. What is ready-made is everything below:
//! HTTP, TLS.

pub mod error;
#[doc(hidden)]
pub mod parsers;
pub mod settings;
pub mod sink;
pub mod source;

mod answer;
mod auth;
mod blobs;
mod client;
mod connect;
mod credentials;
mod exchange;
mod http;
mod link;
mod login;
mod manifests;
mod no_proxy;
mod payload;
mod place;
mod probe;
mod range;
mod rate;
mod redact;
mod referrers;
mod retry;
mod search;
mod tags;
mod tls;
mod uploads;
mod web;

use std::sync::Arc;

use wharf_core::{Descriptor, Event, Manifest, Reference, Watch};

use crate::client::Client;
pub use crate::credentials::{Credential, Given, Whose};
pub use crate::error::{RegistryError, RegistryErrorKind, TlsTrouble};
pub use crate::login::{Kept, Login, Server};
pub use crate::redact::{Secret, ShownUrl};
pub use crate::referrers::{Referrers, referrers_tag};
pub use crate::search::Hit;
pub use crate::settings::{
    CredentialSettings, HostSettings, MinRate, Proxies, RetryPolicy, Settings,
};
pub use crate::sink::{Elsewhere, RegistrySink};
pub use crate::source::RegistrySource;
pub use crate::web::WebFile;

/// A client for every registry. Cloning is cheap; the clones share connections and tokens.
///
/// Making one opens nothing: HTTP, TLS and certificates wait for the first request.
#[derive(Clone)]
pub struct Registry {
    client: Arc<Client>,
}

/// What a name points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The manifest; its descriptor was computed here.
    pub manifest: Manifest,
    /// The registry or mirror that sent it, for messages.
    pub place: String,
}

impl Registry {
    /// A client that works as `settings` say.
    pub fn new(settings: Settings) -> Self {
        Self {
            client: Arc::new(Client::new(settings)),
        }
    }

    /// A client for the same registries on somebody else's behalf. It shares connections with this one, and
    /// neither tokens nor anything that was learned with them.
    #[must_use]
    pub fn on_behalf_of(&self, whose: Whose) -> Self {
        Self {
            client: Arc::new(self.client.on_behalf_of(whose)),
        }
    }

    /// Fetches the manifest that `reference` names, by its digest if it has one, else by its tag.
    ///
    /// `watch` hears of credentials that cannot be read. The manifest is kept for a moment, for
    /// the [`Registry::source`] that the copy reads from.
    pub async fn resolve(
        &self,
        reference: &Reference,
        watch: &dyn Watch,
    ) -> Result<Resolved, RegistryError> {
        let (manifest, place) = self.client.resolve(reference, watch).await?;
        Ok(Resolved {
            manifest,
            place: place.name.clone(),
        })
    }

    /// Asks for the descriptor of the manifest that `reference` names, without the manifest.
    ///
    /// It is the registry's word, which nobody has verified.
    pub async fn head(&self, reference: &Reference) -> Result<Descriptor, RegistryError> {
        self.client.head(reference, &Logged).await
    }

    /// Lists the tags of a repository, in the registry's order.
    pub async fn tags(&self, repository: &Reference) -> Result<Vec<String>, RegistryError> {
        self.client.tags(repository, &Logged).await
    }

    /// Searches a registry, the one that the term names or Docker Hub.
    pub async fn search(&self, term: &str, limit: u32) -> Result<Vec<Hit>, RegistryError> {
        self.client.search(term, limit).await
    }

    /// The user name and password that are kept for a server.
    pub async fn kept_login(&self, server: &Server, watch: &dyn Watch) -> Option<Login> {
        self.client.kept(server, watch).await
    }

    /// Asks a registry whether it takes a login, and keeps it as Docker does.
    pub async fn login(&self, server: &Server, login: &Login) -> Result<Kept, RegistryError> {
        self.client.login(server, login).await
    }

    /// Asks a registry whether it takes a credential, and keeps nothing. Answers with the identity token that
    /// it gives for it, if it gives one.
    pub async fn check_login(
        &self,
        server: &Server,
        credential: &Credential,
    ) -> Result<Option<Secret>, RegistryError> {
        self.client.check_login(server, credential).await
    }

    /// Forgets what is kept for a server. Fails with the reasons if nothing could be forgotten.
    pub async fn logout(&self, server: &Server) -> Result<(), Vec<(String, RegistryError)>> {
        let settings = &self.client.settings.credentials;
        credentials::keep::erase(settings, &login::keys(server)).await
    }

    /// Lists what is about a manifest: signatures and the like. Mirrors are not asked.
    pub async fn referrers(
        &self,
        repository: &Reference,
        subject: &wharf_core::Digest,
        watch: &dyn Watch,
    ) -> Result<Referrers, RegistryError> {
        self.client.referrers(repository, subject, watch).await
    }

    /// A repository, to put content into. `watch` hears of the pauses between attempts, and
    /// `elsewhere` knows which other repositories of the registry may have a blob.
    pub fn sink(
        &self,
        repository: &Reference,
        elsewhere: Elsewhere,
        watch: Arc<dyn Watch>,
    ) -> Result<RegistrySink, RegistryError> {
        RegistrySink::new(Arc::clone(&self.client), repository, elsewhere, watch)
    }

    /// Asks for a file of any web server.
    pub async fn web_file(&self, address: &str) -> Result<WebFile, RegistryError> {
        web::get(&self.client.http, address).await
    }

    /// The content of a repository. `watch` hears of the pauses between attempts.
    pub fn source(&self, repository: &Reference, watch: Arc<dyn Watch>) -> RegistrySource {
        RegistrySource {
            client: Arc::clone(&self.client),
            repository: repository.clone(),
            watch,
        }
    }
}

impl std::fmt::Debug for Registry {
    /// Without tokens and addresses.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registry")
    }
}

/// Writes notices to the log, where nobody watches.
struct Logged;

impl Watch for Logged {
    fn event(&self, event: Event) {
        if let Event::Notice(text) = event {
            tracing::warn!("{text}");
        }
    }
}
