# `just` lists everything there is to do.

default:
    @just --list

# Format, lint, test: what CI runs.
check:
    .ci/run

# The README's test command.
test:
    cargo test --workspace --locked

# Everything that takes longer: more seeds, more kills, more random cases.
slow:
    SLOW=1 cargo test --workspace --locked

# One simulated story of months, by its seed, with every step printed.
sim SEED:
    cargo run -q -p sim -- {{SEED}}

# Benchmarks that print ratios against a peer or a physical limit in the same run: `just bench serve`.
bench NAME *ARGS:
    cargo run -q --release -p bench --bin {{NAME}} -- {{ARGS}}

# A fuzzer of `fuzz/targets`, until it finds something: `just fuzz scan`. On the stable compiler: coverage without a sanitizer.
fuzz NAME *ARGS:
    mkdir -p fuzz/corpus/{{NAME}}
    RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares" cargo run -q --release --manifest-path fuzz/Cargo.toml --target "$(rustc -vV | sed -n 's/^host: //p')" --bin {{NAME}} -- fuzz/corpus/{{NAME}} {{ARGS}}

# The service on a development store: access key test/test, http://127.0.0.1:4566.
run *ARGS:
    cargo run --release -- serve --dev {{ARGS}}

# Licences, bans and sources of all dependencies (cargo install cargo-deny).
deny:
    cargo deny check bans licenses sources

# The documentation of all crates.
docs:
    cargo doc --workspace --no-deps --open
