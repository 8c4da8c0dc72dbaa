//! From a file's place to its part: many fetches at once, a bounded number of bytes in memory, and as many readers as cores.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::{GetOptions, ObjectMeta, ObjectStore};
use tokio::sync::Semaphore;
use trail::Selection;
use trail::part::Part;
use trail::scan::{Flaw, Gap, Why};
use trail::scanner::{MAX_FILE_BYTES, Scanners};

use super::cache::State;

/// Bytes of files in memory, as they are stored; a larger file is alone. In KiB, as permits are counted. (Ours.)
const BUDGET_KIB: u32 = 48 << 10;
/// Tries of one object whose bytes break off; a request that is refused is tried again by the store itself. (Ours.)
const TRIES: u32 = 3;
/// Wait before the second try; before the third it is twice as long. (Ours.)
const PAUSE: Duration = Duration::from_millis(250);

/// A file to read.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: PathBuf,
    pub(super) bytes: u64,
    /// What tells one state of the file from another.
    pub(super) stamp: Option<String>,
    pub(super) place: At,
}

/// Where the bytes of a file are.
#[derive(Debug)]
pub(super) enum At {
    Disk,
    Store(Arc<dyn ObjectStore>, Box<ObjectMeta>),
}

/// What came of one file.
pub(super) enum Outcome {
    Gap(Gap),
    Read { name: PathBuf, state: Option<State>, part: Box<Part>, is_recalled: bool },
    Unread { name: PathBuf, why: Why },
}

impl Item {
    pub(super) fn state(&self) -> Option<State> {
        // A name that is no text cannot be written down.
        Some(State { name: self.name.to_str()?.to_owned(), bytes: self.bytes, stamp: self.stamp.clone()? })
    }
}

/// What turns files into parts.
pub(super) struct Reader<'a> {
    selection: &'a Selection,
    budget: Semaphore,
    cores: Arc<Semaphore>,
    scanners: Arc<Scanners>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(selection: &'a Selection) -> Reader<'a> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Reader {
            selection,
            budget: Semaphore::new(BUDGET_KIB as usize),
            cores: Arc::new(Semaphore::new(cores)),
            scanners: Arc::default(),
        }
    }

    /// What comes of a file, or of what is known of it.
    pub(super) async fn outcome(&self, found: Result<(Item, Option<Part>), Gap>) -> Outcome {
        let (item, known) = match found {
            Ok(found) => found,
            Err(gap) => return Outcome::Gap(gap),
        };
        let state = item.state();
        if let Some(part) = known {
            return Outcome::Read { name: item.name, state, part: Box::new(part), is_recalled: true };
        }
        if item.bytes > MAX_FILE_BYTES as u64 {
            return Outcome::Unread { name: item.name, why: Flaw::TooLarge { limit: MAX_FILE_BYTES }.into() };
        }
        let name = item.name.clone();
        match self.part(item).await {
            Ok(part) => Outcome::Read { name, state, part: Box::new(part), is_recalled: false },
            Err(why) => Outcome::Unread { name, why },
        }
    }

    /// Reads one file; its bytes count against the budget until they are a part.
    async fn part(&self, item: Item) -> Result<Part, Why> {
        let kib = u32::try_from(item.bytes / 1024 + 1).unwrap_or(BUDGET_KIB).min(BUDGET_KIB);
        let _room = self.budget.acquire_many(kib).await.expect("the budget is never closed");
        let fetched = match &item.place {
            At::Disk => None,
            At::Store(store, meta) => Some(fetch(store, meta).await.map_err(|error| Why::Fetch(Box::new(error)))?),
        };
        let core = Arc::clone(&self.cores).acquire_owned().await.expect("the cores are never closed");
        let (selection, scanners) = (self.selection.clone(), Arc::clone(&self.scanners));
        let read = tokio::task::spawn_blocking(move || {
            let _core = core;
            scanners.with(|scanner| match fetched {
                Some(bytes) => Ok(scanner.scan(&item.name, &bytes, &selection)),
                None => scanner.scan_from(&item.name, File::open(&item.name)?, &selection),
            })
        });
        match read.await {
            Ok(part) => part.map_err(Why::File),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

/// The bytes of an object as it was listed; an object that has changed since is an error.
async fn fetch(store: &Arc<dyn ObjectStore>, meta: &ObjectMeta) -> Result<bytes::Bytes, object_store::Error> {
    let options = GetOptions { if_match: meta.e_tag.clone(), ..GetOptions::default() };
    let mut tried = 0;
    loop {
        tried += 1;
        let got = match store.get_opts(&meta.location, options.clone()).await {
            Ok(object) => object.bytes().await,
            Err(error) => return Err(error),
        };
        match got {
            Err(_) if tried < TRIES => tokio::time::sleep(PAUSE * tried).await,
            got => return got,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectStoreExt as _;
    use object_store::memory::InMemory;
    use object_store::path::Path as Key;

    async fn outcome(store: &Arc<dyn ObjectStore>, meta: ObjectMeta) -> String {
        let place = At::Store(Arc::clone(store), Box::new(meta.clone()));
        let item = Item { name: "s3://logs/a.json".into(), bytes: meta.size, stamp: meta.e_tag, place };
        match Reader::new(&Selection::all()).outcome(Ok((item, None))).await {
            Outcome::Read { part, .. } => format!("{} records", part.counts().records),
            Outcome::Unread { why, .. } => why.to_string(),
            Outcome::Gap(gap) => gap.why.to_string(),
        }
    }

    #[test]
    fn an_object_that_has_changed_or_gone_since_it_was_listed_is_a_gap() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let key = Key::from("a.json");
            store.put(&key, r#"{"Records":[{}]}"#.into()).await.unwrap();
            let meta = store.head(&key).await.unwrap();
            assert_eq!(outcome(&store, meta.clone()).await, "1 records");
            store.put(&key, r#"{"Records":[]}"#.into()).await.unwrap();
            assert!(outcome(&store, meta.clone()).await.starts_with("cannot be fetched: "));
            store.delete(&key).await.unwrap();
            assert!(outcome(&store, meta.clone()).await.starts_with("cannot be fetched: "));
            let huge = ObjectMeta { size: MAX_FILE_BYTES as u64 + 1, ..meta };
            assert!(outcome(&store, huge).await.starts_with("the file has more than "));
        });
    }
}
