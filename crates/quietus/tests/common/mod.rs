//! A running `quietus serve`, and how to call the program.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; a test fails by panicking")]

pub(crate) mod athena_stub;
pub(crate) mod moto;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// The program under test, with none of this machine's AWS settings.
pub(crate) fn quietus() -> Command {
    without_aws(Command::new(env!("CARGO_BIN_EXE_quietus")))
}

/// `command` with none of this machine's AWS settings.
pub(crate) fn without_aws(mut command: Command) -> Command {
    for (name, _) in std::env::vars() {
        if name.starts_with("AWS_") || name.starts_with("QUIETUS_") {
            command.env_remove(name);
        }
    }
    command
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// A server of its own on a free port; it ends with this value.
pub(crate) struct Served {
    child: Child,
    pub(crate) endpoint: String,
    /// What it said when it started.
    pub(crate) greeting: Vec<String>,
}

impl Served {
    /// A development server with a virtual clock.
    pub(crate) fn virtually(data: &Path) -> Served {
        // As a unit file or a container would say it.
        Served::with(data, &["--clock", "virtual"], &[("QUIETUS_DEV", "1")])
    }

    fn with(data: &Path, args: &[&str], variables: &[(&str, &str)]) -> Served {
        let mut child = quietus()
            .envs(variables.iter().copied())
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data"])
            .arg(data)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("the server says where it listens").unwrap();
        let endpoint = first.strip_prefix("quietus serves KMS at ").unwrap().to_owned();
        let mut greeting = vec![first];
        // The greeting ends with the access key.
        while !greeting.last().unwrap().contains("SECRET") && !greeting.last().unwrap().contains("access key") {
            greeting.push(lines.next().unwrap().unwrap());
        }
        if greeting.last().unwrap().ends_with(':') {
            greeting.extend(lines.by_ref().take(2).map(Result::unwrap));
        }
        Served { child, endpoint, greeting }
    }

    /// Stops it by SIGTERM, as a service manager would; `true` if it ended well and in time.
    pub(crate) fn terminate(mut self) -> bool {
        signal(&self.child, "-TERM");
        ended(&mut self.child).is_some_and(|status| status.success())
    }
}

/// Sends a signal to a process of ours: `-TERM`, `-INT`.
pub(crate) fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// How a process ended, if it does within a minute.
pub(crate) fn ended(child: &mut Child) -> Option<ExitStatus> {
    for _ in 0..1200 {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}

impl Drop for Served {
    fn drop(&mut self) {
        // It has ended already, or it is ended now; either way nothing is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command printed, as text, and its exit code.
pub(crate) fn finished(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
