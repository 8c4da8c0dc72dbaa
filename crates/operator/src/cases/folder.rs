//! Cases in a folder of the file system.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use procedure::{Entry, Fact};
use serde_json::value::to_raw_value;

use super::{CaseId, Cases, Error, Fault, Journal, Lease, MAX_ENTRIES, MAX_LINK_BYTES, chain, files};

/// Most bytes of a file kept beside a journal: an observation of [`procedure::observation::MAX_ROWS`] rows has half of it. (Ours.)
const MAX_KEPT_BYTES: usize = 64 << 20;
/// Most tries to find a free case number, each against another runner that took the last one. (Ours.)
const MAX_TRIES: u32 = 1_000;
/// Who speaks where nobody asked.
const QUIETUS: &str = "quietus";

/// A folder of cases.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The cases in `root`, which need not be there yet.
    pub fn at(root: impl Into<PathBuf>) -> Folder {
        Folder { root: root.into() }
    }

    /// Where they are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of one case.
    pub fn of(&self, case: CaseId) -> PathBuf {
        self.root.join(case.to_string())
    }

    fn link(&self, case: CaseId, sequence: u32) -> PathBuf {
        self.of(case).join(link_name(sequence))
    }

    /// The numbers of a case's entries, ascending.
    fn numbers(&self, case: CaseId) -> Result<BTreeSet<u32>, Error> {
        let folder = self.of(case);
        let names = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoSuchCase { case, within: self.root.clone() });
            }
            names => names.map_err(at(&folder))?,
        };
        let mut numbers = BTreeSet::new();
        for name in names {
            let name = name.map_err(at(&folder))?.file_name();
            numbers.extend(name.to_str().and_then(link_number));
        }
        Ok(numbers)
    }

    /// Puts half an entry aside, so that a whole one can take its number.
    fn set_aside(&self, journal: &Journal) -> Result<Option<String>, Error> {
        let lock = self.of(journal.case()).join("mending");
        let file = files::private().create(true).truncate(false).write(true).open(&lock).map_err(at(&lock))?;
        file.lock().map_err(at(&lock))?;
        // Under the lock, since another runner may have put it aside and a whole entry in its place.
        let torn = self.link(journal.case(), journal.next());
        let bytes = match files::read_bounded(&torn, MAX_LINK_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(at(&torn))?,
        };
        if !matches!(chain::open(&bytes), Err(chain::Broken::Torn)) {
            return Ok(None);
        }
        let digest = procedure::Digest::of(&bytes).to_string();
        let name = format!("{:06}.torn-{}", journal.next(), &digest[..8]);
        std::fs::rename(&torn, self.of(journal.case()).join(&name)).map_err(at(&torn))?;
        files::sync_folder(&self.of(journal.case())).map_err(at(&torn))?;
        Ok(Some(name))
    }

    fn write(&self, journal: &mut Journal, entry: Entry) -> Result<(), Error> {
        let (case, sequence) = (journal.case(), journal.next());
        if sequence > MAX_ENTRIES {
            return Err(Error::Full { case });
        }
        let path = self.link(case, sequence);
        let raw = to_raw_value(&entry).map_err(|error| Error::Io { path: path.clone(), source: error.into() })?;
        let (bytes, sha256) = chain::seal(sequence, journal.head(), &raw);
        if bytes.len() > MAX_LINK_BYTES {
            return Err(Error::TooLarge { bytes: bytes.len() });
        }
        match files::publish_new(&path, &bytes) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Taken { case, sequence }),
            published => {
                published.map_err(at(&path))?;
                journal.push(entry, sha256);
                Ok(())
            }
        }
    }
}

impl Cases for Folder {
    fn list(&self) -> Result<Vec<CaseId>, Error> {
        let names = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            names => names.map_err(at(&self.root))?,
        };
        let mut cases = Vec::new();
        for name in names {
            let name = name.map_err(at(&self.root))?.file_name();
            cases.extend(name.to_str().and_then(|name| name.parse::<CaseId>().ok()));
        }
        cases.sort_unstable();
        Ok(cases)
    }

    fn allocate(&self, year: u16) -> Result<CaseId, Error> {
        files::make_folders(&self.root).map_err(at(&self.root))?;
        for _ in 0..MAX_TRIES {
            let last = self.list()?.into_iter().filter(|case| case.year == year).map(|case| case.number).max();
            let case = CaseId { year, number: last.unwrap_or(0).saturating_add(1) };
            match files::make_folder(&self.of(case)) {
                Ok(()) => return Ok(case),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(at(&self.of(case))(error)),
            }
        }
        Err(at(&self.root)(io::ErrorKind::ResourceBusy.into()))
    }

    fn read(&self, case: CaseId) -> Result<Journal, Error> {
        let numbers = self.numbers(case)?;
        let mut journal = Journal::empty(case);
        if let Some(&last) = numbers.last() {
            let missing = (1..=last).find(|sequence| !numbers.contains(sequence));
            if let Some(missing) = missing {
                return Err(Error::Journal { entry: self.link(case, missing), fault: Fault::Missing });
            }
        }
        self.refresh(&mut journal)?;
        Ok(journal)
    }

    fn refresh(&self, journal: &mut Journal) -> Result<(), Error> {
        let mut path = self.link(journal.case(), journal.next());
        let mut bytes = read_if_there(&path)?;
        while let Some(found) = bytes {
            let after = self.link(journal.case(), journal.next() + 1);
            bytes = read_if_there(&after)?;
            journal.take(&found, bytes.is_none()).map_err(|fault| Error::Journal { entry: path, fault })?;
            path = after;
        }
        Ok(())
    }

    fn append(&self, journal: &mut Journal, entry: Entry) -> Result<(), Error> {
        if journal.is_torn()
            && let Some(name) = self.set_aside(journal)?
        {
            let text = format!("a crash left half an entry behind; it is kept as `{name}`");
            let note = Fact::Noted { by: QUIETUS.to_owned(), text };
            self.write(journal, Entry::new(entry.at, note))?;
        }
        self.write(journal, entry)
    }

    fn lease(&self, case: CaseId) -> Result<Option<Lease>, Error> {
        let folder = self.of(case);
        Lease::take(&folder).map_err(at(&folder))
    }

    fn keep(&self, case: CaseId, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.of(case).join(name);
        if let Some(folder) = path.parent() {
            files::make_folders(folder).map_err(at(folder))?;
        }
        match files::publish_new(&path, bytes) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            published => published.map_err(at(&path))?,
        }
        if self.kept(case, name)? == bytes { Ok(()) } else { Err(Error::Kept { path }) }
    }

    fn kept(&self, case: CaseId, name: &str) -> Result<Vec<u8>, Error> {
        let path = self.of(case).join(name);
        files::read_bounded(&path, MAX_KEPT_BYTES).map_err(at(&path))
    }

    fn notebook(&self, case: CaseId) -> Option<PathBuf> {
        Some(self.of(case).join("events.jsonl"))
    }
}

/// The name of an entry's file.
pub(super) fn link_name(sequence: u32) -> String {
    format!("{sequence:06}.json")
}

fn link_number(name: &str) -> Option<u32> {
    let number = name.strip_suffix(".json")?.parse().ok()?;
    (number >= 1 && link_name(number) == name).then_some(number)
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match files::read_bounded(path, MAX_LINK_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => bytes.map(Some).map_err(at(path)),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn noted(text: &str) -> Entry {
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        Entry::new(at, Fact::Noted { by: "ann".to_owned(), text: text.to_owned() })
    }

    /// A case with these notes.
    fn case(notes: &[&str]) -> (tempfile::TempDir, Folder, CaseId) {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(temp.path().join("cases"));
        let case = folder.allocate(2026).unwrap();
        let mut journal = folder.read(case).unwrap();
        for note in notes {
            folder.append(&mut journal, noted(note)).unwrap();
        }
        (temp, folder, case)
    }

    #[test]
    fn what_was_appended_is_read_again() {
        let (_temp, folder, case) = case(&["one", "two"]);
        let journal = folder.read(case).unwrap();
        assert_eq!(journal.entries(), [noted("one"), noted("two")]);
        assert_eq!(journal.head(), journal.hashes()[1]);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.of(case)), 0o700);
        assert_eq!(mode(&folder.link(case, 1)), 0o600);
        assert_eq!(folder.list().unwrap(), [case]);
        let stranger = CaseId { number: 9, ..case };
        assert!(matches!(folder.read(stranger), Err(Error::NoSuchCase { .. })));
    }

    #[test]
    fn a_crash_at_any_byte_of_the_last_entry_costs_that_entry_alone() {
        let (_temp, folder, case) = case(&["one", "two", "three"]);
        let last = folder.link(case, 3);
        let whole = std::fs::read(&last).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&last, &whole[..end]).unwrap();
            let mut journal = folder.read(case).unwrap();
            assert!(journal.is_torn(), "cut at {end}");
            assert_eq!(journal.entries(), [noted("one"), noted("two")]);
            // Writing is slow, because it is durable.
            if end % 40 != 0 {
                continue;
            }
            folder.append(&mut journal, noted("three again")).unwrap();
            let journal = folder.read(case).unwrap();
            assert!(
                matches!(&journal.entries()[2].fact, Fact::Noted { by, text } if by == QUIETUS && text.contains("000003.torn-"))
            );
            assert_eq!(journal.entries()[3], noted("three again"));
            std::fs::remove_file(folder.link(case, 4)).unwrap();
        }
        // Zeros instead of an end, as some file systems leave them.
        std::fs::write(&last, [&whole[..40], &[0; 60]].concat()).unwrap();
        assert!(folder.read(case).unwrap().is_torn());
    }

    #[test]
    fn a_break_anywhere_else_is_an_error_that_names_the_entry() {
        let (_temp, folder, case) = case(&["one", "two", "three"]);
        let second = folder.link(case, 2);
        let whole = std::fs::read(&second).unwrap();
        let check = |bytes: &[u8], expected: &str| {
            std::fs::write(&second, bytes).unwrap();
            let error = folder.read(case).unwrap_err().to_string();
            assert!(error.contains("000002.json") && error.contains(expected), "{error}");
            std::fs::write(&second, &whole).unwrap();
        };
        check(&whole[..50], "ends in the middle");
        check(&String::from_utf8(whole.clone()).unwrap().replace("two", "too").into_bytes(), "has the hash");
        check(&std::fs::read(folder.link(case, 1)).unwrap(), "says that it is entry 1");
        let raw = to_raw_value(&noted("forged")).unwrap();
        check(&chain::seal(2, procedure::Digest::of(b"elsewhere"), &raw).0, "written after an entry");
        std::fs::remove_file(&second).unwrap();
        assert!(folder.read(case).unwrap_err().to_string().contains("missing"));
        // A whole forgery of the second breaks at the third.
        let first = folder.read(case).map(|_| ()).unwrap_err();
        drop(first);
        let head = {
            let mut journal = Journal::empty(case);
            journal.take(&std::fs::read(folder.link(case, 1)).unwrap(), false).unwrap();
            journal.head()
        };
        std::fs::write(&second, chain::seal(2, head, &raw).0).unwrap();
        assert!(folder.read(case).unwrap_err().to_string().contains("000003.json"));
    }

    #[test]
    fn a_folder_under_another_case_s_name_is_refused() {
        let (_temp, folder, case) = case(&[]);
        let mut journal = folder.read(case).unwrap();
        folder.append(&mut journal, crate::testing::opening("QC-2026-0001")).unwrap();
        let copy = CaseId { number: 2, ..case };
        std::fs::rename(folder.of(case), folder.of(copy)).unwrap();
        assert!(folder.read(copy).unwrap_err().to_string().contains("opens case `QC-2026-0001`"));
    }

    #[test]
    fn of_two_writers_one_is_told_to_look_again() {
        let (_temp, folder, case) = case(&["one"]);
        let (mut left, mut right) = (folder.read(case).unwrap(), folder.read(case).unwrap());
        folder.append(&mut left, noted("left")).unwrap();
        assert!(matches!(folder.append(&mut right, noted("right")), Err(Error::Taken { sequence: 2, .. })));
        assert_eq!(right.next(), 2, "nothing was taken up");
        assert_eq!(folder.read(case).unwrap().entries(), [noted("one"), noted("left")]);
    }

    #[test]
    fn many_writers_lose_nothing_and_write_nothing_twice() {
        let (_temp, folder, case) = case(&[]);
        let turns = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (folder, turns) = (&folder, &turns);
                scope.spawn(move || {
                    let mut written = 0;
                    while written < 10 {
                        let mut journal = folder.read(case).unwrap();
                        match folder.append(&mut journal, noted(&format!("{writer}.{written}"))) {
                            Ok(()) => written += 1,
                            Err(Error::Taken { .. }) => drop(turns.fetch_add(1, Ordering::Relaxed)),
                            Err(other) => panic!("{other}"),
                        }
                    }
                });
            }
        });
        let journal = folder.read(case).unwrap();
        let unique: BTreeSet<String> = journal.entries().iter().map(|entry| format!("{:?}", entry.fact)).collect();
        assert_eq!((journal.entries().len(), unique.len()), (40, 40));
    }

    #[test]
    fn cases_made_at_once_have_their_own_numbers() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(temp.path());
        let mut cases: Vec<CaseId> = std::thread::scope(|scope| {
            let made: Vec<_> = (0..4).map(|_| scope.spawn(|| folder.allocate(2026).unwrap())).collect();
            made.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        cases.sort_unstable();
        assert_eq!(cases.iter().map(|case| case.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(folder.allocate(2027).unwrap().number, 1);
    }

    #[test]
    fn what_is_kept_is_kept_as_it_is() {
        let (_temp, folder, case) = case(&[]);
        folder.keep(case, "evidence/a.json", b"{}").unwrap();
        folder.keep(case, "evidence/a.json", b"{}").unwrap();
        assert!(matches!(folder.keep(case, "evidence/a.json", b"[]"), Err(Error::Kept { .. })));
        assert_eq!(folder.kept(case, "evidence/a.json").unwrap(), b"{}");
    }
}
