//! What a bucket holds, prefix by prefix: folders that the filter leaves out are never listed.
//!
//! Folders are looked into level by level, many at once, as long as that can save reading; what is left is listed whole, many
//! prefixes ahead of the reader but in their order. Memory is bounded by how far ahead listing may be.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use tokio::sync::mpsc;
use trail::scan::{Flaw, Gap, Why, has_log_name};

use super::layout::{Filter, Verdict};
use super::source::Bucket;

/// Prefixes that are listed at once. (Ours; S3 takes 5,500 requests a second for each prefix.)
const LISTED_AT_ONCE: usize = 16;
/// Objects of one prefix that wait for the reader. (Ours.)
const AHEAD: usize = 2_000;
/// Most prefixes of one bucket: a thousand accounts in thirty Regions, with a month of days each. (Ours.)
const MAX_PREFIXES: usize = 1_000_000;

/// Something that listing found.
#[derive(Debug)]
pub(super) enum Listed {
    /// An object to read.
    Object(ObjectMeta),
    /// Something that is not read.
    Gap(Gap),
}

/// Why a bucket cannot be listed at all.
#[derive(Debug)]
pub(super) enum Failed {
    Store(object_store::Error),
    Nothing,
    TooMany,
}

/// Lists `bucket` into `out`, sorted by prefix. Trouble below its root is a gap.
///
/// # Errors
/// [`Failed`] where the root itself cannot be listed, or holds nothing.
pub(super) async fn list(
    bucket: &Bucket,
    store: Arc<dyn ObjectStore>,
    filter: &Filter,
    out: &mpsc::Sender<Listed>,
) -> Result<(), Failed> {
    let root = bucket.prefix().clone();
    if has_log_name(std::path::Path::new(root.as_ref()))
        && let Ok(object) = store.head(&root).await
    {
        // Who reads no more has said why.
        let _ = out.send(Listed::Object(object)).await;
        return Ok(());
    }
    let plan = look_into(bucket, &store, root, filter, out).await?;
    let mut waiting = plan.into_iter();
    let mut begun = VecDeque::new();
    let mut is_empty = true;
    let mut others = BTreeMap::new();
    loop {
        while begun.len() < LISTED_AT_ONCE
            && let Some(prefix) = waiting.next()
        {
            begun.push_back((prefix.clone(), whole(Arc::clone(&store), prefix)));
        }
        let Some((prefix, mut listing)) = begun.pop_front() else { break };
        while let Some(found) = listing.recv().await {
            match found {
                Ok(object) => {
                    is_empty = false;
                    if let Some(listed) = told(bucket, object, filter, &mut others)
                        && out.send(listed).await.is_err()
                    {
                        return Ok(());
                    }
                }
                Err(error) if is_empty && prefix == *bucket.prefix() => return Err(Failed::Store(error)),
                Err(error) => {
                    let _ = out.send(Listed::Gap(unlisted(bucket, &prefix, error))).await;
                }
            }
        }
        if is_empty && prefix == *bucket.prefix() {
            return Err(Failed::Nothing);
        }
    }
    for (path, count) in others {
        let gap = Gap { path, why: Flaw::NotCloudTrail.into(), count };
        let _ = out.send(Listed::Gap(gap)).await;
    }
    Ok(())
}

/// What becomes of an object; nothing where it was not asked for, or is counted among `others`.
fn told(bucket: &Bucket, object: ObjectMeta, filter: &Filter, others: &mut BTreeMap<PathBuf, u64>) -> Option<Listed> {
    let path = object.location.as_ref();
    let gap = |why: Why| Some(Listed::Gap(Gap { path: bucket.url_of(&object.location).into(), why, count: 1 }));
    match filter.judge(path) {
        Verdict::NotAsked => None,
        Verdict::Digest => gap(Flaw::Digest.into()),
        Verdict::OtherService => {
            let folder = path.rsplit_once('/').map_or(path, |(folder, _)| folder);
            *others.entry(bucket.url_of(&Path::from(folder)).into()).or_default() += 1;
            None
        }
        Verdict::Read if !has_log_name(std::path::Path::new(path)) => gap(Why::OtherName),
        Verdict::Read => Some(Listed::Object(object)),
    }
}

/// The prefixes to list whole, sorted. Objects beside folders that were looked into are sent at once.
async fn look_into(
    bucket: &Bucket,
    store: &Arc<dyn ObjectStore>,
    root: Path,
    filter: &Filter,
    out: &mpsc::Sender<Listed>,
) -> Result<Vec<Path>, Failed> {
    let mut whole = Vec::new();
    let mut open = vec![root.clone()];
    while !open.is_empty() {
        let (narrow, wide): (Vec<Path>, Vec<Path>) =
            open.into_iter().partition(|folder| filter.may_narrow(folder.as_ref()));
        whole.extend(wide);
        open = Vec::new();
        let looks = narrow.into_iter().map(|folder| async {
            let found = store.list_with_delimiter(Some(&folder).filter(|folder| !folder.as_ref().is_empty())).await;
            (folder, found)
        });
        let mut looks = stream::iter(looks).buffered(LISTED_AT_ONCE);
        while let Some((folder, found)) = looks.next().await {
            let found = match found {
                Ok(found) => found,
                Err(error) if folder == root => return Err(Failed::Store(error)),
                Err(error) => {
                    let _ = out.send(Listed::Gap(unlisted(bucket, &folder, error))).await;
                    continue;
                }
            };
            if folder == root && found.objects.is_empty() && found.common_prefixes.is_empty() {
                return Err(Failed::Nothing);
            }
            let mut others = BTreeMap::new();
            for object in found.objects {
                if let Some(listed) = told(bucket, object, filter, &mut others) {
                    let _ = out.send(listed).await;
                }
            }
            for below in found.common_prefixes {
                let leave = |why: Flaw| {
                    let path = bucket.url_of(&below).into();
                    Listed::Gap(Gap { path, why: why.into(), count: 1 })
                };
                match filter.judge(below.as_ref()) {
                    Verdict::Read => open.push(below),
                    Verdict::NotAsked => {}
                    Verdict::Digest => drop(out.send(leave(Flaw::Digest)).await),
                    Verdict::OtherService => drop(out.send(leave(Flaw::NotCloudTrail)).await),
                }
            }
            if whole.len() + open.len() > MAX_PREFIXES {
                return Err(Failed::TooMany);
            }
        }
    }
    whole.sort_unstable();
    Ok(whole)
}

/// Lists everything below `prefix`, a bounded number of objects ahead of who receives them.
fn whole(store: Arc<dyn ObjectStore>, prefix: Path) -> mpsc::Receiver<object_store::Result<ObjectMeta>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let root = Some(&prefix).filter(|prefix| !prefix.as_ref().is_empty());
        let mut objects = store.list(root);
        loop {
            let (found, is_last) = match objects.try_next().await {
                Ok(Some(object)) => (Ok(object), false),
                Ok(None) => break,
                Err(error) => (Err(error), true),
            };
            if sender.send(found).await.is_err() || is_last {
                break;
            }
        }
    });
    receiver
}

fn unlisted(bucket: &Bucket, prefix: &Path, error: object_store::Error) -> Gap {
    Gap { path: bucket.url_of(prefix).into(), why: Why::Fetch(Box::new(error)), count: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    use crate::sources::Source;

    /// What is read of a bucket with these objects, and how often which gap is named.
    fn check(filter: &Filter, url: &str, objects: &[&str], read: &[&str], gaps: &[&str]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (seen, left) = runtime.block_on(async {
            let store = Arc::new(InMemory::new());
            for object in objects {
                store.put(&Path::from(*object), "x".into()).await.unwrap();
            }
            let Source::Bucket(bucket) = url.parse().unwrap() else { panic!("{url} is a bucket") };
            let (sender, mut receiver) = mpsc::channel(100);
            list(&bucket, store, filter, &sender).await.unwrap();
            drop(sender);
            let (mut seen, mut left) = (Vec::new(), Vec::new());
            while let Some(listed) = receiver.recv().await {
                match listed {
                    Listed::Object(object) => seen.push(object.location.to_string()),
                    Listed::Gap(gap) => left.push(format!("{} {} {}", gap.path.display(), gap.why, gap.count)),
                }
            }
            (seen, left)
        });
        assert_eq!(seen, read);
        assert_eq!(left, gaps);
    }

    const OBJECTS: &[&str] = &[
        "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/01/02/d.json.gz",
        "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/02/a.json.gz",
        "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/02/28/b.json.gz",
        "AWSLogs/111122223333/CloudTrail/us-east-1/2026/02/28/c.json.gz",
        "AWSLogs/111122223333/Config/eu-west-1/2026/2/28/ConfigHistory/e.json.gz",
        "AWSLogs/111122223333/Config/eu-west-1/2026/2/28/ConfigHistory/f.json.gz",
        "AWSLogs/o-abc/444455556666/CloudTrail/eu-west-1/2026/02/28/g.json.gz",
        "readme.txt",
        "other/h.json.gz",
    ];

    #[test]
    fn without_a_filter_everything_of_cloudtrail_is_read() {
        check(
            &Filter::default(),
            "s3://logs",
            OBJECTS,
            &[OBJECTS[1], OBJECTS[2], OBJECTS[3], OBJECTS[6], OBJECTS[8]],
            &[
                "s3://logs/AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/01/02/d.json.gz a digest file, which holds no events 1",
                "s3://logs/readme.txt not a log file by its name 1",
                "s3://logs/AWSLogs/111122223333/Config/eu-west-1/2026/2/28/ConfigHistory not a CloudTrail log file 2",
            ],
        );
    }

    #[test]
    fn a_filter_leaves_folders_out_before_they_are_listed() {
        let filter = Filter {
            regions: ["eu-west-1".parse().unwrap()].into(),
            since: Some("2026-02-20T00:00:00Z".parse().unwrap()),
            ..Filter::default()
        };
        let gaps = [
            "s3://logs/AWSLogs/111122223333/CloudTrail-Digest a digest file, which holds no events 1",
            "s3://logs/AWSLogs/111122223333/Config not a CloudTrail log file 1",
        ];
        check(&filter, "s3://logs/AWSLogs", OBJECTS, &[OBJECTS[2], OBJECTS[6]], &gaps);
        let account = Filter { accounts: ["444455556666".parse().unwrap()].into(), ..filter };
        check(&account, "s3://logs/AWSLogs", OBJECTS, &[OBJECTS[6]], &[]);
    }

    #[test]
    fn one_object_can_be_named() {
        check(&Filter::default(), &format!("s3://logs/{}", OBJECTS[1]), OBJECTS, &[OBJECTS[1]], &[]);
    }
}
