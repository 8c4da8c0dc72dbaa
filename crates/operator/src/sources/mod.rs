//! Reading CloudTrail files wherever they are: folders of this machine, and buckets; what is already known is not read again.
//!
//! [`layout`] says what a path tells before its file is read; `list` finds the files of a bucket; `cache` remembers what files said.
//! What a file says is `trail`'s business. This module brings the bytes: many fetches at once, a bounded number of bytes in
//! memory, and the parts added up in the order of the files, so that the outcome does not depend on who was faster.
//!
//! *Guarantee*: every file below a source is read, or left out because of the filter, or named as a gap.

mod cache;
mod credentials;
mod days;
mod fetch;
pub mod layout;
mod list;
mod source;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use futures_util::{StreamExt as _, stream};
use object_store::{ObjectMeta, ObjectStore};
use tokio::sync::mpsc;
use trail::Selection;
use trail::part::Counts;
use trail::scan::{Gap, Summary};
use trail::summary::Builder;

use crate::aws::{Target, chain, load, why_none};
use crate::clock::Clock;
use cache::Cache;
pub(crate) use days::{Days, Place, day_of};
use fetch::{At, Item, Outcome, Reader};
use layout::Filter;
use list::{Failed, Listed};
pub use source::{Bucket, InvalidSource, Source};

/// Files that are fetched and read at once.
const AT_ONCE: usize = 64;
/// Files that were found and wait to be read, about 250 bytes each: as far as progress knows the whole. (Ours.)
const AHEAD: usize = 100_000;
/// How long a file of this machine has not been written before it is remembered. (Ours; file systems tell times to milliseconds, some
/// to two seconds.)
const SETTLED: Duration = Duration::from_secs(4);

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Where the files are.
    pub sources: &'a [Source],
    /// Which files.
    pub filter: &'a Filter,
    /// Which events.
    pub selection: &'a Selection,
    /// Where to remember what files said.
    pub cache: Option<&'a Path>,
    /// How to reach buckets.
    pub target: &'a Target,
}

/// What was read.
#[derive(Debug)]
pub struct Found {
    /// What the files say together.
    pub summary: Summary,
    /// Files that were not read again, because the cache knew them.
    pub recalled: u64,
    /// Why not everything could be remembered.
    pub cache_trouble: Option<io::Error>,
    /// The days that the layout shows.
    pub(crate) days: Days,
}

/// How far a scan is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// What was read so far, or recalled.
    pub done: Counts,
    /// Files found so far.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether these are all.
    pub is_whole: bool,
}

/// Why a scan could not begin, or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path cannot be looked at.
    #[error(transparent)]
    Local(#[from] trail::scan::Error),
    /// There are no credentials for a bucket.
    #[error("no credentials were found ({why})")]
    NoCredentials {
        /// What the SDK says.
        why: String,
    },
    /// A bucket cannot be listed.
    #[error("cannot look at `{source_url}`: {why}")]
    Bucket {
        /// Which.
        source_url: String,
        /// What the store says, in one line.
        why: String,
    },
    /// A bucket holds nothing there.
    #[error("there is nothing under `{source_url}`")]
    Nothing {
        /// Where.
        source_url: String,
    },
    /// A bucket has too many folders.
    #[error("`{source_url}` has too many folders; name a narrower prefix")]
    TooMany {
        /// Where.
        source_url: String,
    },
    /// The cache cannot be used.
    #[error("cannot keep what was read in `{}`: {source}", path.display())]
    Cache {
        /// Its folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The operating system gave no thread.
    #[error("cannot start a runtime: {0}")]
    Runtime(#[source] io::Error),
}

/// Reads what `request` asks for. It blocks, and may be called from any thread, of a runtime too.
///
/// `progress` is called before the first and after every few files.
///
/// *Guarantee*: the same files give the same summary, whether they were read or recalled.
///
/// # Errors
/// [`Error`] where a source cannot be looked at, or holds nothing. Trouble below a source is a gap of the summary.
pub fn scan(request: &Request<'_>, progress: &mut (dyn FnMut(&Progress) + Send)) -> Result<Found, Error> {
    let (mut paths, mut buckets) = (Vec::new(), Vec::new());
    for source in request.sources {
        match source {
            Source::Local(path) => paths.push(path.clone()),
            // The same objects by two names would be fetched twice, and counted once.
            Source::Bucket(bucket) if !buckets.contains(&bucket) => buckets.push(bucket),
            Source::Bucket(_) => {}
        }
    }
    let is_asked =
        |path: &Path| path.to_str().is_none_or(|path| request.filter.judge(path) != layout::Verdict::NotAsked);
    let local = trail::scan::find(&paths, &is_asked)?;
    if buckets.is_empty() && request.cache.is_none() {
        let mut days = Days::default();
        local.files.iter().for_each(|file| days.file(&file.path));
        let summary = trail::scan::read(local, request.selection, &mut |state| {
            progress(&Progress { done: state.done, files: state.files, bytes: state.bytes, is_whole: true });
        });
        return Ok(Found { summary, recalled: 0, cache_trouble: None, days });
    }
    let cache = request
        .cache
        .map(|path| {
            let opened = Cache::open(path, request.selection);
            opened.map_err(|source| Error::Cache { path: path.to_owned(), source })
        })
        .transpose()?;
    on_runtime(read(request, local, buckets, cache, progress))?
}

/// Runs `work` on a runtime and a thread of its own, because who calls may be on another runtime.
pub(crate) fn on_runtime<T: Send>(work: impl Future<Output = T> + Send) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Error::Runtime)?;
    let done = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("sources".to_owned());
        let thread = thread.spawn_scoped(scope, || runtime.block_on(work)).map_err(Error::Runtime)?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    // Requests that nobody waits for any more are given up.
    runtime.shutdown_background();
    done
}

/// How many files were found so far.
#[derive(Debug, Default)]
struct Listing {
    files: AtomicU64,
    bytes: AtomicU64,
    is_whole: AtomicBool,
}

impl Listing {
    fn add(&self, item: &Item) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(item.bytes, Ordering::Relaxed);
    }

    fn progress(&self, done: Counts) -> Progress {
        let is_whole = self.is_whole.load(Ordering::Acquire);
        let (files, bytes) = (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        Progress { done, files, bytes, is_whole }
    }
}

async fn read(
    request: &Request<'_>,
    local: trail::scan::Found,
    buckets: Vec<&Bucket>,
    cache: Option<Cache>,
    progress: &mut (dyn FnMut(&Progress) + Send),
) -> Result<Found, Error> {
    let (sender, mut receiver) = mpsc::channel(AHEAD);
    let listing = Listing::default();
    let mut builder = Builder::new(request.selection);
    local.gaps.into_iter().for_each(|gap| builder.gap(gap));
    let begin = Clock::System.now().ok().and_then(|now| SystemTime::try_from(now).ok());
    let files = local.files.into_iter().map(|file| {
        // A file that was just written may be written again without its time showing it.
        let is_settled = |at: &SystemTime| begin.is_some_and(|begin| *at + SETTLED < begin);
        let since_epoch = file.modified.filter(is_settled).and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let stamp = since_epoch.map(|time| format!("written {}", time.as_nanos()));
        Item { name: file.path, bytes: file.bytes, stamp, place: At::Disk }
    });
    let list = async {
        let listed = list_all(request, files, buckets, &listing, sender).await;
        listing.is_whole.store(true, Ordering::Release);
        listed
    };
    let cache = Mutex::new(cache);
    let reader = Reader::new(request.selection);
    let mut days = Days::default();
    let mut recalled = 0;
    let add = async {
        let found = stream::poll_fn(move |context| receiver.poll_recv(context));
        let mut outcomes = found
            .map(|found| {
                // In the order of the files, which the cache likes; what it knows is not fetched.
                let found = found.map(|item| {
                    let known = item.state().and_then(|state| lock(&cache).as_mut()?.recall(&state));
                    (item, known)
                });
                reader.outcome(found)
            })
            .buffered(AT_ONCE);
        progress(&listing.progress(builder.counts()));
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Outcome::Gap(gap) => builder.gap(gap),
                Outcome::Unread { name, why } => {
                    builder.count_unread(0);
                    days.file(&name);
                    builder.gap(Gap { path: name, why, count: 1 });
                }
                Outcome::Read { name, state, part, is_recalled } => {
                    recalled += u64::from(is_recalled);
                    days.file(&name);
                    if let (Some(state), Some(cache), false) = (state, lock(&cache).as_mut(), is_recalled) {
                        cache.keep(&state, &part);
                    }
                    builder.add(&name, *part).expect("all parts are made for the builder's selection");
                }
            }
            progress(&listing.progress(builder.counts()));
        }
    };
    // A bucket that cannot be listed ends the scan at once.
    let add = async {
        add.await;
        Ok(())
    };
    tokio::try_join!(list, add)?;
    let cache = cache.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Found { summary: builder.finish(), recalled, cache_trouble: cache.and_then(Cache::trouble), days })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends all files, those of this machine first.
async fn list_all(
    request: &Request<'_>,
    files: impl Iterator<Item = Item>,
    buckets: Vec<&Bucket>,
    listing: &Listing,
    out: mpsc::Sender<Result<Item, Gap>>,
) -> Result<(), Error> {
    for item in files {
        listing.add(&item);
        let _ = out.send(Ok(item)).await;
    }
    if buckets.is_empty() {
        return Ok(());
    }
    let config = settings(request.target).await?;
    for bucket in buckets {
        let store = bucket.open(&config).await.map_err(|error| failed(bucket, Failed::Store(error)))?;
        let (sender, mut receiver) = mpsc::channel(AT_ONCE);
        let list = async {
            let listed = list::list(bucket, Arc::clone(&store), request.filter, &sender).await;
            drop(sender);
            listed
        };
        let pass_on = async {
            while let Some(listed) = receiver.recv().await {
                let found = match listed {
                    Listed::Object(meta) => {
                        let item = item_of(bucket, &store, meta);
                        listing.add(&item);
                        Ok(item)
                    }
                    Listed::Gap(gap) => Err(gap),
                };
                let _ = out.send(found).await;
            }
        };
        let (listed, ()) = tokio::join!(list, pass_on);
        listed.map_err(|why| failed(bucket, why))?;
    }
    Ok(())
}

/// The settings for buckets, with credentials that are there.
async fn settings(target: &Target) -> Result<SdkConfig, Error> {
    let config = load(target).await;
    let no_credentials = |why: String| Error::NoCredentials { why };
    let provider = config.credentials_provider().ok_or_else(|| no_credentials("none are set".to_owned()))?;
    provider.provide_credentials().await.map_err(|error| no_credentials(why_none(&error)))?;
    Ok(config)
}

fn item_of(bucket: &Bucket, store: &Arc<dyn ObjectStore>, meta: ObjectMeta) -> Item {
    Item {
        name: bucket.url_of(&meta.location).into(),
        bytes: meta.size,
        stamp: meta.e_tag.clone(),
        place: At::Store(Arc::clone(store), Box::new(meta)),
    }
}

fn failed(bucket: &Bucket, why: Failed) -> Error {
    let source_url = bucket.to_string();
    match why {
        Failed::Store(error) => Error::Bucket { source_url, why: chain(&error) },
        Failed::Nothing => Error::Nothing { source_url },
        Failed::TooMany => Error::TooMany { source_url },
    }
}

/// An object that was found and not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its path in the bucket.
    pub path: String,
    /// Its length.
    pub bytes: u64,
}

/// Lists the objects of `bucket` that `filter` leaves, and what [`scan`] would not read of it, without reading anything. It blocks.
///
/// # Errors
/// [`Error`] where the bucket cannot be looked at, or holds nothing there.
pub fn list(
    bucket: &Bucket,
    filter: &Filter,
    target: &Target,
    each: &mut (dyn FnMut(Result<Object, Gap>) + Send),
) -> Result<(), Error> {
    on_runtime(async {
        let store =
            bucket.open(&settings(target).await?).await.map_err(|error| failed(bucket, Failed::Store(error)))?;
        let (sender, mut receiver) = mpsc::channel(AT_ONCE);
        let listing = async {
            let listed = list::list(bucket, store, filter, &sender).await;
            drop(sender);
            listed
        };
        let telling = async {
            while let Some(listed) = receiver.recv().await {
                each(match listed {
                    Listed::Object(meta) => Ok(Object { path: meta.location.to_string(), bytes: meta.size }),
                    Listed::Gap(gap) => Err(gap),
                });
            }
        };
        let (listed, ()) = tokio::join!(listing, telling);
        listed.map_err(|why| failed(bucket, why))
    })?
}
