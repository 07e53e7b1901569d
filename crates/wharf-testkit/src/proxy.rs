//! TLS in front of a registry that has none.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::certs::{self, Authority, Identity};
use crate::ports;
use crate::registry::Tls;
use crate::registry::connections::Server;

/// TLS in front of a registry that has none: bytes are passed on as they are.
pub struct TlsProxy {
    address: SocketAddr,
    authority: Authority,
    clients: Option<Identity>,
    server: Option<Server>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl TlsProxy {
    /// Starts one on any free port of loopback.
    ///
    /// # Panics
    /// If this machine has no loopback, threads or ports left.
    pub fn start(upstream: SocketAddr, tls: Tls) -> Self {
        Self::start_on(ports::any(), upstream, tls)
    }

    /// Starts one on a listener.
    ///
    /// # Panics
    /// If this machine has no threads left.
    pub fn start_on(listener: std::net::TcpListener, upstream: SocketAddr, tls: Tls) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("tls-proxy")
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let authority = Authority::new("an authority for tests");
        let identity = authority.server(tls.flaw);
        let clients = tls.clients.then(|| authority.client("a client for tests"));
        let config = Authority::server_config(&identity, tls.clients.then_some(&authority));
        let acceptor = TlsAcceptor::from(config);
        let address = listener.local_addr().expect("it is bound");
        let server = Server::run(runtime.handle(), listener, move |stream| {
            let acceptor = acceptor.clone();
            // An error is a connection that broke, on one side or the other.
            tokio::spawn(async move { drop(pass(stream, acceptor, upstream).await) });
        });
        Self {
            address,
            authority,
            clients,
            server: Some(server),
            runtime: Some(runtime),
        }
    }

    /// Its address, as it stands in references.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Who signed its certificate.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Writes into a `certs.d` what a client must know of it.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn write_certs_d(&self, folder: &Path) -> io::Result<()> {
        let host = self.host();
        certs::write_certs_d(folder, &host, Some(&self.authority), self.clients.as_ref())
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn pass(stream: TcpStream, acceptor: TlsAcceptor, upstream: SocketAddr) -> io::Result<()> {
    let mut client = acceptor.accept(stream).await?;
    let mut upstream = TcpStream::connect(upstream).await?;
    tokio::io::copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
}
