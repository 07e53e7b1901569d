# Formatting, lints, and the arrows between the crates.
source .ci/lib.sh

cargo fmt --all --check
cargo fmt --manifest-path tests/clients/bollard/Cargo.toml --check
cargo clippy --quiet --workspace --all-targets -- --deny warnings
cargo xtask arrows
if cargo deny --version >/dev/null 2>&1; then
  cargo deny --workspace check licenses bans sources
  if cargo deny fetch db >/dev/null 2>&1; then
    cargo deny --workspace check advisories
  else
    echo 'SKIPPED: the advisories cannot be fetched'
  fi
else
  echo 'SKIPPED: cargo-deny is not installed, so deny.toml (licences, versions, sources, advisories) is not checked'
fi
