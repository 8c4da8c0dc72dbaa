//! `quietus serve`: the service, until it is told to stop.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use server::{ClockKind, Config, KeyStores, RequestQuotas, Running, Server, TlsFiles};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::args::{LogFormat, Quotas, Serve, ServerClock};
use crate::terminal::{hinted, say};

pub(crate) fn run(args: &Serve) -> Result<ExitCode> {
    log(args)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime did not start")?;
    runtime.block_on(async {
        // From here on, a signal stops the server as it should, also one that comes as soon as the server is announced.
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be waited for")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("an interrupt cannot be waited for")?;
        let running = Server::start(config(args)?).await?;
        announce(args, &running);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        running.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn config(args: &Serve) -> Result<Config> {
    let seconds = args.deletion_delay.as_secs();
    let delay = u32::try_from(seconds).map_err(|_| {
        hinted(anyhow::anyhow!("deletion delay of `{seconds}` seconds is too long"), "give --deletion-delay 0s to 24h")
    })?;
    let tls = args.tls_cert.clone().zip(args.tls_key.clone());
    Ok(Config {
        listen: args.listen,
        dev: args.dev,
        account: args.account,
        tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
        clock: match args.clock {
            ServerClock::Real => ClockKind::Real,
            ServerClock::Virtual => ClockKind::Virtual { start: None },
        },
        deletion_delay_seconds: delay,
        seal_every: args.seal_every,
        key_stores: KeyStores {
            clusters: args.hsm_clusters.clone(),
            xks_certificates: args.xks_ca.clone(),
            xks_hosts: args.xks_hosts.iter().cloned().collect(),
        },
        nitro_root: args.nitro_root.clone(),
        accept_clock: args.accept_clock,
        request_quotas: match args.request_quotas {
            Quotas::Off => RequestQuotas::Off,
            Quotas::Aws => RequestQuotas::Aws,
        },
        ..Config::new(args.data.clone())
    })
}

/// What a person needs to know to use the server, on standard output; the log goes to standard error.
fn announce(args: &Serve, running: &Running) {
    say!("quietus serves KMS at {}", running.endpoint_url());
    let kind = if args.dev { ", development server" } else { "" };
    say!("account {}{kind}, data in {}", running.account(), args.data.display());
    let file = args.data.join("credentials");
    match running.new_credentials() {
        Some(key) if !args.dev => {
            say!("root access key, shown once and kept in {}:", file.display());
            say!("  AWS_ACCESS_KEY_ID={}", key.id);
            say!("  AWS_SECRET_ACCESS_KEY={}", key.secret.as_str());
        }
        _ if args.dev => say!("access key {0}, secret {0}", server::DEV_KEY),
        _ => say!("access keys in {}", file.display()),
    }
}

fn log(args: &Serve) -> Result<()> {
    let filter = EnvFilter::try_new(&args.log).map_err(|error| {
        hinted(error, format!("`{}` is no log filter; give `info` or `warn,server=debug`", args.log))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
