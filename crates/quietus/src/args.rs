//! The command line: every command, argument and default.

use std::net::SocketAddr;
use std::path::PathBuf;

use api::{AccountId, Region, Timestamp};
use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;
use operator::athena::Name;
use operator::cases::CaseId;
use operator::endpoint::Endpoint as Url;
use operator::sources::Source;
use procedure::Digest;
use server::Cluster;

/// Quietus ends KMS keys without losing data.
#[derive(Debug, Parser)]
#[command(name = "quietus", version, about, max_term_width = 110, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See the whole procedure happen: five keys, five stories, months of virtual time, in under a minute.
    Rehearse(Rehearse),
    /// Serve the KMS API.
    Serve(Serve),
    /// The clock of a development server.
    #[command(subcommand)]
    Clock(Clock),
    /// Count who used which key in CloudTrail files.
    Scan(Scan),
    /// Say who could use a key, who did, and what could not be seen. Changes nothing.
    Assess(Assess),
    /// Cases: one for each key that shall end.
    #[command(subcommand)]
    Case(Case),
    /// Carry all open cases one step further, or keep doing so.
    Reconcile(Reconcile),
    /// Bring a key back: cancel its deletion and enable it. Needs no approval.
    Rescue(Rescue),
    /// Write a case's report as Markdown, JSON and HTML.
    Report(Report),
}

/// Which AWS to talk to. What is not given comes from the standard AWS environment variables and files.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// Endpoint of all services, such as a `quietus serve`.
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL", help_heading = "AWS")]
    pub(crate) endpoint_url: Option<String>,
    /// Profile of the AWS configuration files.
    #[arg(long, value_name = "NAME", env = "AWS_PROFILE", help_heading = "AWS")]
    pub(crate) profile: Option<String>,
    /// Region.
    #[arg(long, value_name = "REGION", env = "AWS_REGION", help_heading = "AWS")]
    pub(crate) region: Option<String>,
}

/// Which AWS to talk to, and what time it is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Endpoint {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Whose time counts: this machine's, or that of the endpoint, a development server with a virtual clock.
    #[arg(long, value_enum, default_value_t, env = "QUIETUS_USE_CLOCK", help_heading = "AWS")]
    pub(crate) clock: Time,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Time {
    /// This machine's clock.
    #[default]
    System,
    /// The endpoint's virtual clock.
    Endpoint,
}

/// Where cases are kept.
#[derive(Debug, Clone, Args)]
pub(crate) struct Cases {
    /// Folder of the cases, one folder each.
    #[arg(long, value_name = "DIR", default_value = "quietus-cases", env = "QUIETUS_CASES")]
    pub(crate) cases: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Rehearse {
    /// Folder for everything the rehearsal makes; an earlier rehearsal there is replaced.
    #[arg(long, value_name = "DIR", default_value = "quietus-rehearsal")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4566", env = "QUIETUS_LISTEN")]
    pub(crate) listen: SocketAddr,
    /// Folder of keys, audit log and trail; made where it is not there.
    #[arg(long, value_name = "DIR", default_value = "quietus-data", env = "QUIETUS_DATA")]
    pub(crate) data: PathBuf,
    /// Development server: access key `test`/`test`, loopback only, data folder of its own kind.
    #[arg(long, env = "QUIETUS_DEV", value_parser = FalseyValueParser::new())]
    pub(crate) dev: bool,
    /// ID of the first account, 12 digits; a random one where none is given, 000000000000 with --dev.
    #[arg(long, value_name = "ID", env = "QUIETUS_ACCOUNT")]
    pub(crate) account: Option<AccountId>,
    /// Whose time counts. A virtual clock stands still until `quietus clock advance`, and needs --dev.
    #[arg(long, value_enum, default_value_t, env = "QUIETUS_CLOCK")]
    pub(crate) clock: ServerClock,
    /// Certificate chain for TLS, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "QUIETUS_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key for TLS, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "QUIETUS_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
    /// How long after its date a key is deleted, 0s to 24h; AWS takes up to 24 hours.
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = span, env = "QUIETUS_DELETION_DELAY")]
    pub(crate) deletion_delay: SignedDuration,
    /// How often records are sealed into CloudTrail files.
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = span, env = "QUIETUS_SEAL_EVERY")]
    pub(crate) seal_every: SignedDuration,
    /// A cluster of hardware security modules for CloudHSM key stores, by its PKCS #11 module:
    /// `cluster-1a2b3c4d5e6=/path/to/module.so,token=LABEL,user=NAME,anchor=FILE`. May be given several times.
    #[arg(long = "hsm-cluster", value_name = "CLUSTER", env = "QUIETUS_HSM_CLUSTER", value_delimiter = ';')]
    pub(crate) hsm_clusters: Vec<Cluster>,
    /// Certificates, PEM, to trust in external key store proxies, beside the operating system's.
    #[arg(long, value_name = "FILE", env = "QUIETUS_XKS_CA")]
    pub(crate) xks_ca: Option<PathBuf>,
    /// Where the host of an external key store proxy is to be found, if not where its name leads: `HOST=ADDRESS:PORT`. May be given
    /// several times.
    #[arg(long = "xks-host", value_name = "HOST=ADDRESS", value_parser = host, env = "QUIETUS_XKS_HOST", value_delimiter = ';')]
    pub(crate) xks_hosts: Vec<(String, SocketAddr)>,
    /// Root certificate, PEM, that attestation documents of Nitro enclaves must lead to. Without it none is taken.
    #[arg(long, value_name = "FILE", env = "QUIETUS_NITRO_ROOT")]
    pub(crate) nitro_root: Option<PathBuf>,
    /// Go on deleting after the wall clock has jumped. Without it, such a server waits and says so.
    #[arg(long, env = "QUIETUS_ACCEPT_CLOCK", value_parser = FalseyValueParser::new())]
    pub(crate) accept_clock: bool,
    /// Requests a second that each account may make: AWS's quotas, with its ThrottlingException, or none.
    #[arg(long, value_enum, default_value_t, value_name = "QUOTAS", env = "QUIETUS_REQUEST_QUOTAS")]
    pub(crate) request_quotas: Quotas,
    /// Form of the log on standard error.
    #[arg(long, value_enum, default_value_t, env = "QUIETUS_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
    /// What is logged, in `tracing`'s form: `info`, `warn,server=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info", env = "QUIETUS_LOG")]
    pub(crate) log: String,
}

fn host(given: &str) -> Result<(String, SocketAddr), String> {
    let parsed = given.split_once('=').and_then(|(host, address)| Some((host.to_owned(), address.parse().ok()?)));
    parsed.ok_or_else(|| "write the host and where it is, like `xks.example.com=127.0.0.1:8443`".to_owned())
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServerClock {
    /// This machine's clock.
    #[default]
    Real,
    /// A clock that only `quietus clock advance` moves.
    Virtual,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Quotas {
    /// As many as the machine answers.
    #[default]
    Off,
    /// As many as AWS answers, by account, Region and operation.
    Aws,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One line of text an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Clock {
    /// Let virtual time pass; returns when all that became due is done.
    Advance {
        /// How long: `31d`, `2d 1h`, `3600s`.
        #[arg(required = true, value_name = "SPAN")]
        span: Vec<String>,
        /// The development server.
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4566", env = "AWS_ENDPOINT_URL")]
        endpoint_url: Url,
    },
    /// Print the server's time.
    Show {
        /// The development server.
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4566", env = "AWS_ENDPOINT_URL")]
        endpoint_url: Url,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Scan {
    /// Files, folders, `file://` and `s3://BUCKET/PREFIX`: `.json`, `.json.gz`, `.jsonl`, CloudTrail's own layout.
    #[arg(required = true, value_name = "SOURCE")]
    pub(crate) sources: Vec<Source>,
    /// Only this key: ARN, ID or alias. May be given more than once; every key where it is not given.
    #[arg(long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Only events at or after this moment, RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Only events before this moment, RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// Only files that CloudTrail's layout places in this account. May be given more than once.
    #[arg(long = "in-account", value_name = "ID")]
    pub(crate) accounts: Vec<AccountId>,
    /// Only files that CloudTrail's layout places in this Region. May be given more than once.
    #[arg(long = "in-region", value_name = "REGION")]
    pub(crate) regions: Vec<Region>,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) cache: Cache,
    #[command(flatten)]
    pub(crate) athena: Athena,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// Who counts, and how Athena is asked.
#[derive(Debug, Clone, Args)]
pub(crate) struct Athena {
    /// Who counts: this machine, or Athena where the files are, for one bucket in CloudTrail's layout.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) engine: Engine,
    /// Athena's database; it must exist.
    #[arg(long, value_name = "NAME", default_value = "default", help_heading = "Athena")]
    pub(crate) database: Name,
    /// Table over the trail's files, made where it is not there; one named after its accounts and Regions where none is given.
    #[arg(long, value_name = "NAME", help_heading = "Athena")]
    pub(crate) table: Option<Name>,
    /// Workgroup; `primary` where none is given.
    #[arg(long, value_name = "NAME", help_heading = "Athena")]
    pub(crate) workgroup: Option<String>,
    /// Where Athena writes what it finds, `s3://BUCKET/PREFIX`; the workgroup's own place where it is not given.
    #[arg(long, value_name = "URL", help_heading = "Athena")]
    pub(crate) output: Option<String>,
    /// Ask before a query whose estimate is higher, in US dollars.
    #[arg(long, value_name = "USD", default_value_t = 1.0, help_heading = "Athena")]
    pub(crate) max_cost: f64,
    /// Run the query whatever it costs.
    #[arg(long, help_heading = "Athena")]
    pub(crate) yes: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// This machine reads every file.
    #[default]
    Local,
    /// Athena reads them, and is paid for it.
    Athena,
}

/// Where to remember what was read.
#[derive(Debug, Clone, Args)]
pub(crate) struct Cache {
    /// Folder to remember what each file said, so that the next time only new files are read; nothing is kept without it.
    #[arg(long = "cache", value_name = "DIR", env = "QUIETUS_SCAN_CACHE")]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Assess {
    /// Key ID, key ARN, alias name or alias ARN.
    pub(crate) key: String,
    /// CloudTrail files to read as well, for what event history does not reach: a folder, a file, or `s3://BUCKET/PREFIX`.
    #[arg(long, value_name = "SOURCE")]
    pub(crate) offline: Vec<Source>,
    #[command(flatten)]
    pub(crate) cache: Cache,
    /// How careful to be.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) care: Care,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Care {
    /// 400 days of look-back, 30 days of soak, 1 + 1 approvals.
    #[default]
    Standard,
    /// 730 days of look-back, 100 days of soak, 2 + 2 approvals and one to commit.
    Critical,
    /// 30 days of look-back, 1 day of soak, 1 approval.
    Sandbox,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Case {
    /// Open a case for a key that shall end. Nothing is changed before an approval.
    Open(Open),
    /// All cases.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        cases: Cases,
    },
    /// One case: where it stands, why, and what comes next.
    Show {
        /// `QC-2026-0001`.
        case: CaseId,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        cases: Cases,
    },
    /// Agree to the next step of a case, exactly as it is planned now.
    Approve(Approve),
    /// Accept a finding as it is, until a date.
    Waive(Waive),
    /// Pause a case; a pending deletion is cancelled.
    Hold(Say),
    /// Go on after a pause, a rescue or somebody else's change.
    Resume(Say),
    /// End a case and give the key back as it was.
    Abandon(Say),
}

/// Who speaks, of which cases, by which AWS.
#[derive(Debug, Args)]
pub(crate) struct Speaker {
    /// Who does this, for the journal; the caller's ARN where it is not given.
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    #[command(flatten)]
    pub(crate) cases: Cases,
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
}

/// What a person says of a case.
#[derive(Debug, Args)]
pub(crate) struct Say {
    /// `QC-2026-0001`.
    pub(crate) case: CaseId,
    /// Why.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) speaker: Speaker,
}

#[derive(Debug, Args)]
pub(crate) struct Waive {
    /// Which finding: `F-LOOKBACK`.
    #[arg(long, value_name = "ID")]
    pub(crate) finding: String,
    /// Only where the finding is about this: a principal, an account, a grant.
    #[arg(long, value_name = "TEXT")]
    pub(crate) subject: Option<String>,
    /// For how long.
    #[arg(long = "for", value_name = "SPAN", default_value = "90d", value_parser = span)]
    pub(crate) lasts: SignedDuration,
    #[command(flatten)]
    pub(crate) say: Say,
}

#[derive(Debug, Args)]
pub(crate) struct Open {
    /// Key ID, key ARN, alias name or alias ARN.
    pub(crate) key: String,
    /// Why the key shall end.
    #[arg(long)]
    pub(crate) reason: String,
    /// Who answers for the key.
    #[arg(long)]
    pub(crate) owner: String,
    /// Where that was agreed.
    #[arg(long)]
    pub(crate) ticket: Option<String>,
    /// A principal or resource whose loss is meant; makes the case one of intent `shred`. May be given more than once.
    #[arg(long = "shred", value_name = "TARGET")]
    pub(crate) shred: Vec<String>,
    /// How careful to be.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) care: Care,
    #[command(flatten)]
    pub(crate) speaker: Speaker,
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// `QC-2026-0001`.
    pub(crate) case: CaseId,
    /// The plan as it was shown; an approval of another plan is refused.
    #[arg(long, value_name = "HASH")]
    pub(crate) plan: Digest,
    #[command(flatten)]
    pub(crate) speaker: Speaker,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("how").required(true).args(["once", "loop"])))]
pub(crate) struct Reconcile {
    /// Look at every case once, then end.
    #[arg(long)]
    pub(crate) once: bool,
    /// Keep looking.
    #[arg(long = "loop")]
    pub(crate) r#loop: bool,
    /// How long to wait between two looks.
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = span)]
    pub(crate) every: SignedDuration,
    /// CloudTrail files to read as well when assessing: a folder, a file, or `s3://BUCKET/PREFIX`.
    #[arg(long, value_name = "SOURCE")]
    pub(crate) offline: Vec<Source>,
    #[command(flatten)]
    pub(crate) cache: Cache,
    #[command(flatten)]
    pub(crate) cases: Cases,
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
}

#[derive(Debug, Args)]
pub(crate) struct Rescue {
    /// `QC-2026-0001`, or any key, with a case or without.
    pub(crate) target: String,
    /// Why.
    #[arg(long, default_value = "asked for on the command line")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) speaker: Speaker,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// `QC-2026-0001`.
    pub(crate) case: CaseId,
    /// Folder for the three files; the case's own folder where it is not given.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cases: Cases,
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
}

/// A span of time as people write it: `31d`, `2d 1h`, `3600s`. Days have 24 hours.
pub(crate) fn span(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("`{text}` is not a span of time such as `31d`, `2d 1h` or `3600s`");
    let mut total = SignedDuration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: i64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = rest[digits..].chars().next().ok_or_else(wrong)?;
        let seconds = match unit {
            'd' => 86_400,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return Err(wrong()),
        };
        let seconds = number.checked_mul(seconds).ok_or_else(wrong)?;
        total = total.checked_add(SignedDuration::from_secs(seconds)).ok_or_else(wrong)?;
        rest = rest[digits + 1..].trim_start();
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, seconds) in [("31d", 31 * 86_400), ("2d 1h", 49 * 3600), ("3600s", 3600), ("1h30m", 5400), ("0s", 0)]
        {
            assert_eq!(span(text), Ok(SignedDuration::from_secs(seconds)), "{text}");
        }
        for text in ["", "31", "d", "1w", "-1d", "1.5h", "9999999999999999999d", "99999999999999999d", "1é"] {
            assert!(span(text).unwrap_err().contains(text), "{text}");
        }
    }
}
