//! `wharf serve registry`: serves the store as an OCI registry.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;
use wharf_engine::EngineError;
use wharf_server::Server;
use wharf_server::listen::Listening;
use wharf_server::registry::{DiskBackend, Options, limits, refusal, router};
use wharf_store::Store;

use crate::context::Context;
use crate::exit::{Failure, Result, say};
use crate::print::print;
use crate::runtime;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A name of this machine that clients may use on loopback, besides localhost; may be given several times
    #[arg(long, value_name = "list")]
    allow_host: Vec<String>,
    /// Where to listen; with port 0 on a free one
    #[arg(long, value_name = "string", default_value = "127.0.0.1:5000")]
    listen: String,
    /// Refuse pushes and deletions
    #[arg(long)]
    read_only: bool,
    /// None are taken.
    #[arg(hide = true)]
    rest: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.rest, 0)?;
    let names = super::host_names(&arguments.allow_host)?;
    let bounds = super::within_open_files(limits());
    let root = context.root()?;
    let store = Store::open(&root).map_err(EngineError::from)?;
    let options = Options {
        push: !arguments.read_only,
        delete: !arguments.read_only,
    };
    runtime::server(async {
        let listener = listen(&arguments.listen).await?;
        let address = address(&listener)?;
        if !address.ip().is_loopback() {
            say(
                "WARNING: whoever reaches this address may pull and push: there is no access \
                 control yet\n",
            );
        }
        let end = runtime::told_to_end()?;
        print(&format!("serving {} on http://{address}\n", root.display()))?;
        let router = router(Arc::new(DiskBackend::new(store)), options);
        let server = Server::new(router)
            .with_form(refusal)
            .with_names(names)
            .with_limits(bounds);
        server.run(Listening::Tcp(listener), end).await;
        Ok(())
    })
}

/// Listens on an address.
pub(crate) async fn listen(address: &str) -> Result<TcpListener> {
    let named = address.to_owned();
    let found = wharf_os::blocking::start(move || {
        let found = named.to_socket_addrs()?;
        io::Result::Ok(found.collect::<Vec<_>>())
    });
    let bound = match found.await.map_err(io::Error::from).flatten() {
        Ok(found) => TcpListener::bind(found.as_slice()).await,
        Err(error) => Err(error),
    };
    bound.map_err(|error| {
        Failure::with_hint(
            format!("cannot listen on {address}: {error}"),
            "--listen takes HOST:PORT; port 0 means a free one",
        )
    })
}

/// Where a listener listens.
pub(crate) fn address(listener: &TcpListener) -> Result<SocketAddr> {
    listener
        .local_addr()
        .map_err(|error| Failure::error(format!("cannot listen: {error}")))
}
