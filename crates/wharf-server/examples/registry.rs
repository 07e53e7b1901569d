//! Serves a store as a registry, for measurements:
//! `cargo run --release -p wharf-server --example registry -- ROOT HOST:PORT`

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use wharf_server::registry::{DiskBackend, Options, router};
use wharf_store::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, root, address] = arguments.as_slice() else {
        return Err("say ROOT and HOST:PORT".into());
    };
    let backend = Arc::new(DiskBackend::new(Store::open(Path::new(root))?));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        wharf_server::serve(
            listener,
            router(backend, Options::default()),
            std::future::pending(),
        )
        .await;
        Ok(())
    })
}
