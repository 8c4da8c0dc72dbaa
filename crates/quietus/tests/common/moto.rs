//! AWS's own services as moto (PyPI) plays them, to run the program against what is not `quietus serve`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::without_aws;

const MOTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/moto_world.py");
const ATHENA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/athena_server.py");

/// A stand-in for AWS's own services (moto) on a free port; it ends with this value.
pub(crate) struct Moto {
    child: Child,
    pub(crate) endpoint: String,
}

impl Moto {
    /// With a bucket that holds what `folder` holds; `programs` are those of the Python environment.
    pub(crate) fn with_bucket(programs: &Path, bucket: &str, folder: &Path) -> Moto {
        Moto::run(programs, MOTO, |python| python.arg(bucket).arg(folder))
    }

    /// One that runs Athena's queries over the log files that it makes in `folder`, bucket `logs`, and those of `more`.
    pub(crate) fn with_athena(programs: &Path, folder: &Path, more: Option<&Path>) -> Moto {
        Moto::run(programs, ATHENA, |python| python.arg(folder).args(more))
    }

    fn run(programs: &Path, script: &str, with: impl FnOnce(&mut Command) -> &mut Command) -> Moto {
        let mut python = without_aws(Command::new(programs.join("python")));
        // `-B`: nothing is written beside the sources.
        let mut child = with(python.args(["-B", script]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines().next();
        let endpoint = said.expect("moto says where it listens").unwrap();
        Moto { child, endpoint }
    }

    /// `command`, with this as its AWS.
    pub(crate) fn serve(&self, command: &mut Command) {
        serve(&self.endpoint, command);
    }
}

/// `command`, with what is at `endpoint` as its AWS.
pub(super) fn serve(endpoint: &str, command: &mut Command) {
    command
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
