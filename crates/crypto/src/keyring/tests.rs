//! The keyring held to its promises: files, epochs, crashes, and what is damaged or foreign.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use super::*;
use crate::tests::unhex;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring");
    (folder, path)
}

fn material() -> KeyMaterial {
    KeyMaterial::generate(api::KeySpec::SymmetricDefault).unwrap()
}

fn names(folder: &tempfile::TempDir) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn refusal(path: &Path) -> String {
    Keyring::open(path).err().expect("a refusal").to_string().replace(path.to_str().unwrap(), "PATH")
}

#[test]
fn what_is_wrapped_unwraps_also_after_reopening() {
    let (_folder, path) = folder();
    let material = material();
    let wrapped = Keyring::create(&path).unwrap().wrap(&material, b"key 1");
    let stored = WrappedMaterial::from_bytes(wrapped.as_bytes()).unwrap();
    let opened = Keyring::open(&path).unwrap().unwrap(&stored, b"key 1").unwrap();
    assert_eq!(opened.expose(), material.expose());
}

#[test]
fn wrapping_binds_every_bit_and_what_it_belongs_to() {
    let keyring = Keyring::in_memory();
    keyring.begin_epoch().unwrap();
    let wrapped = keyring.wrap(&material(), b"key 1");
    for aad in [&b""[..], b"key 2", b"key 1 "] {
        assert!(matches!(keyring.unwrap(&wrapped, aad), Err(Error::Tampered)));
    }
    for at in 0..wrapped.as_bytes().len() * 8 {
        let mut bytes = wrapped.as_bytes().to_vec();
        bytes[at / 8] ^= 1 << (at % 8);
        let opened = WrappedMaterial::from_bytes(&bytes).and_then(|changed| keyring.unwrap(&changed, b"key 1"));
        assert!(opened.is_err(), "bit {at}");
    }
    assert!(matches!(Keyring::in_memory().unwrap(&wrapped, b"key 1"), Err(Error::NoSuchEpoch { epoch: Epoch(2) })));
}

#[test]
fn destroying_an_epoch_makes_old_copies_unreadable() {
    let (folder, path) = folder();
    let keyring = Keyring::create(&path).unwrap();
    let [deleted, survivor] = [material(), material()];
    let old_copies = [keyring.wrap(&deleted, b"1"), keyring.wrap(&survivor, b"2")];

    assert_eq!(keyring.begin_epoch().unwrap(), Epoch(2));
    let survivor_again = keyring.wrap(&keyring.unwrap(&old_copies[1], b"2").unwrap(), b"2");
    assert_eq!(survivor_again.epoch(), Epoch(2));
    assert!(matches!(keyring.destroy_epoch(Epoch(2)), Err(Error::CurrentEpoch { .. })));
    keyring.destroy_epoch(Epoch(1)).unwrap();

    for keyring in [keyring, Keyring::open(&path).unwrap()] {
        assert_eq!(keyring.epochs(), [Epoch(2)]);
        for (old, aad) in old_copies.iter().zip([b"1", b"2"]) {
            assert!(matches!(keyring.unwrap(old, aad), Err(Error::NoSuchEpoch { epoch: Epoch(1) })));
        }
        assert_eq!(keyring.unwrap(&survivor_again, b"2").unwrap().expose(), survivor.expose());
    }
    assert_eq!(names(&folder), ["keyring"]);
}

#[test]
fn the_replaced_file_is_overwritten() {
    let (_folder, path) = folder();
    let keyring = Keyring::create(&path).unwrap();
    // A descriptor of the old file still sees its blocks after it lost its name.
    let mut old = fs::File::open(&path).unwrap();
    keyring.begin_epoch().unwrap();
    let mut seen = Vec::new();
    std::io::Read::read_to_end(&mut old, &mut seen).unwrap();
    assert!(!seen.is_empty() && seen.iter().all(|byte| *byte == 0));
}

#[test]
fn epoch_numbers_are_never_given_twice() {
    let (_folder, path) = folder();
    let keyring = Keyring::create(&path).unwrap();
    for expected in 2..6 {
        assert_eq!(keyring.begin_epoch().unwrap(), Epoch(expected));
        keyring.destroy_epoch(Epoch(expected - 1)).unwrap();
    }
    keyring.destroy_epoch(Epoch(1)).unwrap();
    for never in [Epoch(0), Epoch(6)] {
        assert!(matches!(keyring.destroy_epoch(never), Err(Error::NoSuchEpoch { .. })));
    }
    let reopened = Keyring::open(&path).unwrap();
    assert_eq!(reopened.current_epoch(), Epoch(5));
    assert_eq!(reopened.begin_epoch().unwrap(), Epoch(6));
}

#[test]
fn the_number_of_epochs_is_bounded() {
    let keyring = Keyring::in_memory();
    for _ in 1..MAX_EPOCHS {
        keyring.begin_epoch().unwrap();
    }
    assert!(matches!(keyring.begin_epoch(), Err(Error::TooManyEpochs)));
    let (_folder, path) = folder();
    let full = keyring.epochs.into_inner().unwrap();
    KeyringFile::create(&path, &full).unwrap();
    assert_eq!(Keyring::open(&path).unwrap().epochs().len(), MAX_EPOCHS);
}

#[test]
fn a_keyring_is_never_created_over_a_file() {
    let (_folder, path) = folder();
    Keyring::create(&path).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(Keyring::create(&path), Err(Error::AlreadyExists { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_keyring_that_others_may_use_is_refused() {
    let (_folder, path) = folder();
    Keyring::create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    for mode in [0o640, 0o604, 0o620, 0o601, 0o644] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let expected = format!(
            "others may use the keyring `PATH` (mode {mode:04o}); find out who did, then run `chmod 600` on it"
        );
        assert_eq!(refusal(&path), expected);
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(Keyring::open(&path).is_ok());
}

#[test]
fn damage_is_found_wherever_it_is() {
    let (_folder, path) = folder();
    Keyring::create(&path).unwrap().begin_epoch().unwrap();
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 0x10;
        fs::write(&path, &changed).unwrap();
        assert!(Keyring::open(&path).is_err(), "byte {at}");
        fs::write(&path, &good[..at]).unwrap();
        assert!(Keyring::open(&path).is_err(), "cut at {at}");
    }
    fs::write(&path, vec![0; 1 << 20]).unwrap();
    assert_eq!(
        refusal(&path),
        "`PATH` is no keyring or is damaged: it does not begin as a keyring does; restore it from its backup"
    );
    let mut newer = good.clone();
    newer[19] = 2;
    fs::write(&path, newer).unwrap();
    assert_eq!(
        refusal(&path),
        "the keyring `PATH` has format version 2, and this program reads version 1; use a newer program"
    );
    fs::remove_file(&path).unwrap();
    assert_eq!(refusal(&path), "cannot open `PATH`: No such file or directory (os error 2)");
    fs::create_dir(&path).unwrap();
    assert_eq!(
        refusal(&path),
        "`PATH` is no keyring or is damaged: it is not a regular file; restore it from its backup"
    );
}

#[test]
fn a_stale_process_changes_nothing() {
    let (_folder, path) = folder();
    let stale = Keyring::create(&path).unwrap();
    let other = Keyring::open(&path).unwrap();
    other.begin_epoch().unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(stale.begin_epoch(), Err(Error::ChangedMeanwhile { .. })));
    assert_eq!(stale.current_epoch(), Epoch(1));
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// The states a crash can leave between two steps of a change, and what the next opening makes of them.
#[test]
fn what_a_crash_left_is_cleared_and_the_keyring_survives() {
    let (folder, path) = folder();
    let [new, old] = [".keyring.new", ".keyring.old"].map(|name| folder.path().join(name));
    let wrapped = Keyring::create(&path).unwrap().wrap(&material(), b"");
    let survives = || {
        let keyring = Keyring::open(&path).unwrap();
        assert!(keyring.unwrap(&wrapped, b"").is_ok());
        assert_eq!(names(&folder), ["keyring"]);
    };
    fs::write(&new, b"half a file").unwrap();
    survives();
    fs::copy(&path, &new).unwrap();
    fs::hard_link(&path, &old).unwrap();
    survives();
    fs::copy(&path, &old).unwrap();
    let mut replaced = fs::File::open(&old).unwrap();
    survives();
    let mut seen = Vec::new();
    std::io::Read::read_to_end(&mut replaced, &mut seen).unwrap();
    assert!(seen.iter().all(|byte| *byte == 0));
    // Somebody took the keyring away and left its old file.
    fs::rename(&path, &old).unwrap();
    assert!(matches!(Keyring::create(&path), Err(Error::AlreadyExists { .. })));
    // A first creation that never got its name.
    fs::rename(&old, &new).unwrap();
    Keyring::create(&path).unwrap();
    assert_eq!(names(&folder), ["keyring"]);
}

#[test]
fn a_path_that_names_no_file_is_an_error() {
    assert!(matches!(Keyring::create("/"), Err(Error::Io { .. })));
    assert!(matches!(Keyring::create("/nowhere/at/all/keyring"), Err(Error::Io { .. })));
    assert!(matches!(Keyring::open(""), Err(Error::Io { .. })));
}

/// A file of the first released form, and material wrapped with it.
#[test]
fn a_keyring_of_version_1_still_opens() {
    let (_folder, path) = folder();
    fs::write(&path, unhex("71756965747573206b657972696e670a00000001000000020000000206352f14dc61fa50d73ec7cb70641d9413af39fb241cf9225b05df3f998899800000000712eebeaef3cf8a4099414d222e1ea29cf1132aec2e836797021ab39952393f99b2bfc19c69d19f4043ef8b4c8e345b99a7f2d28a209e7e722129840b51967a89")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let keyring = Keyring::open(&path).unwrap();
    assert_eq!(keyring.epochs(), [Epoch(2), Epoch(7)]);
    let wrapped = WrappedMaterial::from_bytes(&unhex("01000000077162ff0913efcb4a9fbd742cbbc6da518c1de50a09669286578bae818b3751307d175e33f7167598ac6eded213c4432215f3b09fd32ad40200047b25c98b9bfb3bf48d62db619760")).unwrap();
    assert_eq!(keyring.unwrap(&wrapped, b"key 1").unwrap().expose(), &[9; 32]);
}
