//! Where the official clients are installed: a Python environment and a Node folder under the target folder, each made once.
//!
//! Their versions are pinned here, in `requirements.txt` and `node/package-lock.json`. Where Python, Node or a registry is missing, what
//! is missing is said aloud and the test that asked is skipped; with `CI` set, that is a failure.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/requirements.txt");
const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/node");

/// The folder of the Python environment's programs; nothing where there can be none.
pub(crate) fn python() -> Option<PathBuf> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    MADE.get_or_init(|| or_skipped("of Python", make_python())).clone()
}

/// The folder with the packages for Node (`NODE_PATH`); nothing where there can be none.
pub(crate) fn node() -> Option<PathBuf> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    MADE.get_or_init(|| or_skipped("for Node", make_node())).clone()
}

fn or_skipped(which: &str, made: Result<PathBuf, String>) -> Option<PathBuf> {
    match made {
        Ok(folder) => Some(folder),
        Err(why) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED, the official clients {which} could not be installed: {why}");
            None
        }
        Err(why) => panic!("the official clients {which} could not be installed: {why}"),
    }
}

fn make_python() -> Result<PathBuf, String> {
    let wanted = std::fs::read_to_string(REQUIREMENTS).unwrap();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("clients");
    let programs = folder.join("bin");
    installed(&folder, &wanted, || {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let pip = ["install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS];
        run(Command::new(programs.join("pip")).args(pip))
    })?;
    Ok(programs)
}

fn make_node() -> Result<PathBuf, String> {
    let files = ["package.json", "package-lock.json"];
    let texts = files.map(|file| std::fs::read_to_string(Path::new(NODE).join(file)).unwrap());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("node");
    installed(&folder, &texts.concat(), || {
        run(Command::new("node").arg("--version"))?;
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        for (file, text) in files.iter().zip(&texts) {
            std::fs::write(folder.join(file), text).map_err(|error| error.to_string())?;
        }
        // No package of these has anything to run when it is installed.
        run(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder))
    })?;
    Ok(folder.join("node_modules"))
}

/// Has `install` fill `folder`, unless it did so before for the same `wanted`.
fn installed(folder: &Path, wanted: &str, install: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let stamp = folder.join("installed");
    // Tests of several files may come here at once.
    let turn = std::fs::File::create(folder.with_extension("lock")).map_err(|error| error.to_string())?;
    turn.lock().map_err(|error| error.to_string())?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install()?;
    std::fs::write(&stamp, wanted).map_err(|error| error.to_string())
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}
