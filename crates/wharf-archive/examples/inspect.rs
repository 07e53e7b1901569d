//! Reads a layer from a file, and prints what is in it and how fast it was read.
//!
//! `cargo run --release -p wharf-archive --example inspect -- FILE [TIMES [THREADS]]`

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use wharf_archive::LayerInspector;
use wharf_core::layer::LayerFacts;

/// How many bytes come at once: about what a network delivers.
const PIECE: usize = 64 * 1024;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "{error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: inspect FILE [TIMES [THREADS]]")?;
    let times: u32 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let threads: u32 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let mut out = io::stdout();
    for _ in 0..times {
        let start = Instant::now();
        let readers: Vec<_> = (0..threads)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || inspect(&path))
            })
            .collect();
        let mut found = None;
        for reader in readers {
            found = Some(reader.join().map_err(|_| "a reader panicked")??);
        }
        let Some((facts, packed)) = found else { break };
        let speed = |bytes: u64| mb_per_second(bytes * u64::from(threads), start.elapsed());
        writeln!(out, "diff ID {}", facts.diff_id)?;
        writeln!(out, "size    {} bytes", facts.size)?;
        writeln!(out, "packed  {packed} bytes, {} MB/s", speed(packed))?;
        writeln!(out, "files   {} MB/s", speed(facts.size))?;
    }
    Ok(())
}

fn inspect(path: &str) -> Result<(LayerFacts, u64), Box<dyn std::error::Error + Send + Sync>> {
    let mut file = File::open(path)?;
    let mut reading = LayerInspector::new().start();
    let mut piece = vec![0; PIECE];
    let mut packed = 0;
    loop {
        let len = file.read(&mut piece)?;
        if len == 0 {
            return Ok((reading.finish()?, packed));
        }
        packed += len as u64;
        reading.write(&piece[..len])?;
    }
}

fn mb_per_second(bytes: u64, taken: Duration) -> u128 {
    u128::from(bytes) / taken.as_micros().max(1)
}
