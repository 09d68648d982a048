//! What the library tells a `tracing` subscriber: each event once, with its level and its fields.
#![cfg(target_os = "linux")]

use std::{
    env,
    fmt::Debug,
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use ndferry::{Pool, SharedArray, ndarray::Array1, store::Store};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber,
};

/// An event of this library: `TRACE ndferry::store::session: message`, and its fields as `name=value`.
#[derive(Clone, Debug)]
struct Told {
    level: Level,
    target: String,
    message: String,
    fields: Vec<(String, String)>,
}

impl Told {
    /// A field's value.
    #[track_caller]
    fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| &**value).unwrap_or_else(|| panic!("a field {name} in {self:?}"))
    }
}

/// Keeps what it is told.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<Told>>>);

impl Listener {
    /// What `act` makes the library tell, on this thread.
    fn during(act: impl FnOnce()) -> Vec<Told> {
        let listener = Self::default();
        subscriber::with_default(listener.clone(), act);
        let mut told = listener.0.lock().unwrap();
        std::mem::take(&mut *told)
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ndferry::")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut fields = Fields(Vec::new());
        event.record(&mut fields);
        let at = fields
            .0
            .iter()
            .position(|(name, _)| name == "message")
            .expect("an event has a message");
        let (_, message) = fields.0.remove(at);
        let (level, target) = (*metadata.level(), metadata.target().to_owned());
        self.0.lock().unwrap().push(Told { level, target, message, fields: fields.0 });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Fields(Vec<(String, String)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push((field.name().to_owned(), format!("{value:?}")));
    }
}

/// The events with this message.
fn of<'t>(told: &'t [Told], message: &str) -> Vec<&'t Told> {
    told.iter().filter(|told| told.message == message).collect()
}

/// The one event with this message.
#[track_caller]
fn one<'t>(told: &'t [Told], message: &str) -> &'t Told {
    match of(told, message)[..] {
        [one] => one,
        ref other => panic!("{message:?} was told {} times: {told:#?}", other.len()),
    }
}

#[test]
fn a_store_tells_when_it_is_opened_and_when_it_is_closed() {
    let mut home = String::new();
    let told = Listener::during(|| {
        let store = Store::new().unwrap();
        home = store.session_dir().display().to_string();
        drop(store);
    });
    let (opened, left) = (one(&told, "opened a store"), one(&told, "left a session"));
    assert_eq!((opened.level, opened.field("home")), (Level::DEBUG, &*home));
    assert_eq!(
        (left.level, left.field("home"), left.field("last")),
        (Level::DEBUG, &*home, "true")
    );
    assert!(opened.target.starts_with("ndferry::store"), "{opened:?}");
}

#[test]
fn a_sealed_store_tells_of_its_memory_files() {
    let told = Listener::during(|| drop(Store::memfd().unwrap().zeros::<u8, _>(100_000).unwrap()));
    let made = one(&told, "made a memory file");
    assert_eq!(made.level, Level::TRACE);
    assert!(made.field("path").starts_with("/memfd:ndferry-"), "{made:?}");
    assert!(made.field("bytes").parse::<u64>().unwrap() >= 100_000, "{made:?}");
    assert_eq!(of(&told, "made a temp file").len(), 0);
}

/// Not a test: what the workers of the pools here run.
#[test]
fn worker() {
    ndferry::init();
}

#[test]
fn a_pool_tells_of_its_workers_calls_and_frames() {
    let told = Listener::during(|| {
        let pool = Pool::builder().workers(1).test_entry("worker").build().unwrap();
        let call = pool.job().retries(1).label("doubling");
        assert_eq!(call.map(|x: u8| 2 * x, [1, 2]).unwrap(), [2, 4]);
        assert!(pool.map(|_: u8| -> u8 { std::process::abort() }, [0]).is_err());
    });
    let one = |message: &str| {
        told.iter()
            .find(|event| event.message == message)
            .unwrap_or_else(|| panic!("{message}: {told:?}"))
    };
    for (message, level) in [
        ("started a worker", Level::DEBUG),
        ("a call begins", Level::INFO),
        ("tasks go to a worker", Level::TRACE),
        ("a worker has spoken", Level::TRACE),
        ("a call is over", Level::INFO),
        ("a worker is gone", Level::WARN),
    ] {
        assert_eq!(one(message).level, level, "{message}");
        assert!(one(message).target.starts_with("ndferry::pool"), "{message}");
    }
    assert_eq!(
        (one("a call begins").field("task"), one("a call begins").field("tasks")),
        ("doubling", "2")
    );
    assert_eq!(
        (one("a call is over").field("done"), one("a call is over").field("failed")),
        ("2", "0")
    );
}

/// What is told while an array of 800 bytes goes to a worker by way of a store with these roots.
fn of_sharing(roots: [&Path; 2]) -> Vec<Told> {
    let array = SharedArray::from(Array1::<f64>::ones(100));
    let told = Listener::during(|| {
        let store = Store::builder().roots(roots).build().unwrap();
        let pool = Pool::builder()
            .workers(1)
            .store(&store)
            .mmap_threshold(1)
            .test_entry("worker")
            .build()
            .unwrap();
        let sums = pool
            .map(|array: SharedArray<f64, ndferry::ndarray::Ix1>| array.sum(), [array])
            .unwrap();
        assert_eq!(sums, [100.0]);
    });
    told.into_iter().filter(|told| told.target.starts_with("ndferry::store")).collect()
}

#[test]
fn every_file_is_told_when_it_is_made_and_when_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let told = of_sharing([folder.path(), folder.path()]);
    let (made, removed) = (one(&told, "made a temp file"), one(&told, "removed a temp file"));
    for told in [made, removed] {
        assert_eq!(told.level, Level::TRACE);
        assert!(told.field("bytes").parse::<u64>().unwrap() >= 800, "{told:?}");
    }
    assert_eq!(made.fields, removed.fields);
    assert!(Path::new(made.field("path")).starts_with(folder.path().canonicalize().unwrap()));
}

#[test]
fn a_root_that_does_not_give_a_file_is_warned_of() {
    // S5
    let [one_root, other_root] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    // Others can look into the directory that should be private: it is left alone.
    let user = one_root.path().join(format!("ndferry-{}", rustix::process::geteuid().as_raw()));
    fs::create_dir(&user).unwrap();
    fs::set_permissions(&user, fs::Permissions::from_mode(0o755)).unwrap();
    let told = of_sharing([one_root.path(), other_root.path()]);
    let warning = one(&told, "a root has not given a file");
    assert_eq!(warning.level, Level::WARN);
    assert!(
        Path::new(warning.field("root")).starts_with(one_root.path().canonicalize().unwrap()),
        "{warning:?}"
    );
    assert!(warning.field("bytes").parse::<u64>().unwrap() >= 800, "{warning:?}");
    assert!(warning.field("error").contains("0755"), "{warning:?}");
    let made = one(&told, "made a temp file");
    assert!(
        Path::new(made.field("path")).starts_with(other_root.path().canonicalize().unwrap()),
        "{made:?}"
    );
}

#[test]
fn what_a_sweep_has_removed_and_what_it_could_not_is_told() {
    // Where a sweep looks is chosen by the environment: so by this test again, in a process of its own.
    const SWEEPER: &str = "NDFERRY_TEST_SWEEPER";
    let name = "what_a_sweep_has_removed_and_what_it_could_not_is_told";
    if env::var_os(SWEEPER).is_none() {
        let place = tempfile::tempdir().unwrap();
        let mut again = Command::new(env::current_exe().unwrap());
        again
            .args(["--exact", name, "--nocapture"])
            .env(SWEEPER, "")
            .env("NDFERRY_DIR", place.path());
        let output = again.env("TMPDIR", place.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
    }
    let place = fs::canonicalize(env::var_os("NDFERRY_DIR").unwrap()).unwrap();
    let user = place.join(format!("ndferry-{}", rustix::process::geteuid().as_raw()));
    // Two sessions whose processes have died: one with a file, the other with what is not the store's.
    let (dead, odd) = ("00000000000000aa", "00000000000000bb");
    let private = |path: &Path| fs::DirBuilder::new().mode(0o700).create(path).unwrap();
    private(&user);
    for (id, file) in [(dead, "0123456789abcdef-0000000000.ferry"), (odd, "notes.txt")] {
        let (home, data) = (user.join(format!("session-{id}")), user.join(format!("data-{id}")));
        private(&home);
        private(&data);
        fs::write(home.join("lock"), "").unwrap();
        fs::write(home.join("journal"), format!("ndferry journal 1\nroot {}", place.display()))
            .unwrap();
        fs::write(data.join(file), "0123456789").unwrap();
    }
    let told = Listener::during(|| drop(ndferry::store::sweep().unwrap()));
    let about =
        |told: &&Told| told.fields.iter().any(|(_, value)| value.contains(place.to_str().unwrap()));
    let told: Vec<_> = told.iter().filter(about).cloned().collect();
    let (removed, obstacle) =
        (one(&told, "removed what a dead session left"), one(&told, "a sweep has met an obstacle"));
    assert_eq!((removed.level, obstacle.level), (Level::INFO, Level::WARN));
    assert!(removed.field("home").ends_with(dead), "{removed:?}");
    assert_eq!((removed.field("files"), removed.field("bytes")), ("1", "10"));
    assert!(obstacle.field("error").contains(&format!("data-{odd}")), "{obstacle:?}");
}
