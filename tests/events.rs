//! The events for a `tracing` subscriber, each emitted once, with its level and fields.
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

/// An event of this library: its level, target and message, and the values of its fields.
#[derive(Clone, Debug)]
struct RecordedEvent {
    level: Level,
    target: String,
    message: String,
    fields: Vec<(String, String)>,
}

impl RecordedEvent {
    /// The value of a field.
    #[track_caller]
    fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| &**value).unwrap_or_else(|| panic!("no field {name} in {self:?}"))
    }
}

/// A subscriber that records all events.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<RecordedEvent>>>);

impl Listener {
    /// The events of this thread during `act`.
    fn during(act: impl FnOnce()) -> Vec<RecordedEvent> {
        let listener = Self::default();
        subscriber::with_default(listener.clone(), act);
        let mut events = listener.0.lock().unwrap();
        std::mem::take(&mut *events)
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
        self.0.lock().unwrap().push(RecordedEvent { level, target, message, fields: fields.0 });
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

/// The events with the given message.
fn all<'t>(events: &'t [RecordedEvent], message: &str) -> Vec<&'t RecordedEvent> {
    events.iter().filter(|event| event.message == message).collect()
}

/// The only event with the given message.
#[track_caller]
fn one<'t>(events: &'t [RecordedEvent], message: &str) -> &'t RecordedEvent {
    match all(events, message)[..] {
        [one] => one,
        ref other => panic!("{message:?} was emitted {} times: {events:#?}", other.len()),
    }
}

#[test]
fn events_of_a_store_report_opening_and_closing() {
    let mut home = String::new();
    let events = Listener::during(|| {
        let store = Store::new().unwrap();
        home = store.session_dir().display().to_string();
        drop(store);
    });
    let (opened, left) = (one(&events, "opened a store"), one(&events, "left a session"));
    assert_eq!((opened.level, opened.field("home")), (Level::DEBUG, &*home));
    assert_eq!(
        (left.level, left.field("home"), left.field("last")),
        (Level::DEBUG, &*home, "true")
    );
    assert!(opened.target.starts_with("ndferry::store"), "{opened:?}");
}

#[test]
fn events_of_a_memfd_store_report_memory_files() {
    let events =
        Listener::during(|| drop(Store::memfd().unwrap().zeros::<u8, _>(100_000).unwrap()));
    let made = one(&events, "made a memory file");
    assert_eq!(made.level, Level::TRACE);
    assert!(made.field("path").starts_with("/memfd:ndferry-"), "{made:?}");
    assert!(made.field("bytes").parse::<u64>().unwrap() >= 100_000, "{made:?}");
    assert_eq!(all(&events, "made a temp file").len(), 0);
}

/// The entry of the workers of this test program.
#[test]
fn worker() {
    ndferry::init();
}

#[test]
fn events_of_a_pool_report_workers_jobs_and_frames() {
    let events = Listener::during(|| {
        let pool = Pool::builder().workers(1).test_entry("worker").build().unwrap();
        let call = pool.job().retries(1).label("doubling");
        assert_eq!(call.map(|x: u8| 2 * x, [1, 2]).unwrap(), [2, 4]);
        assert!(pool.map(|_: u8| -> u8 { std::process::abort() }, [0]).is_err());
    });
    let one = |message: &str| {
        events
            .iter()
            .find(|event| event.message == message)
            .unwrap_or_else(|| panic!("{message}: {events:?}"))
    };
    for (message, level) in [
        ("started a worker", Level::DEBUG),
        ("a job begins", Level::INFO),
        ("tasks go to a worker", Level::TRACE),
        ("received a frame", Level::TRACE),
        ("a job is over", Level::INFO),
        ("lost a worker", Level::WARN),
    ] {
        assert_eq!(one(message).level, level, "{message}");
        assert!(one(message).target.starts_with("ndferry::pool"), "{message}");
    }
    assert_eq!(
        (one("a job begins").field("task"), one("a job begins").field("tasks")),
        ("doubling", "2")
    );
    assert_eq!(
        (one("a job is over").field("done"), one("a job is over").field("failed")),
        ("2", "0")
    );
}

/// The events of the store while an array of 800 bytes is sent to a worker.
fn events_of_sharing(roots: [&Path; 2]) -> Vec<RecordedEvent> {
    let array = SharedArray::from(Array1::<f64>::ones(100));
    let events = Listener::during(|| {
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
    events.into_iter().filter(|event| event.target.starts_with("ndferry::store")).collect()
}

#[test]
fn events_of_the_store_report_each_file() {
    let folder = tempfile::tempdir().unwrap();
    let events = events_of_sharing([folder.path(), folder.path()]);
    let (made, removed) = (one(&events, "made a temp file"), one(&events, "removed a temp file"));
    for event in [made, removed] {
        assert_eq!(event.level, Level::TRACE);
        assert!(event.field("bytes").parse::<u64>().unwrap() >= 800, "{event:?}");
    }
    assert_eq!(made.fields, removed.fields);
    assert!(Path::new(made.field("path")).starts_with(folder.path().canonicalize().unwrap()));
}

#[test]
fn events_warn_of_a_root_that_cannot_be_used() {
    // S5
    let [one_root, other_root] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    // Other users can read the directory, which must be private. It is not used.
    let user = one_root.path().join(format!("ndferry-{}", rustix::process::geteuid().as_raw()));
    fs::create_dir(&user).unwrap();
    fs::set_permissions(&user, fs::Permissions::from_mode(0o755)).unwrap();
    let events = events_of_sharing([one_root.path(), other_root.path()]);
    let warning = one(&events, "a root has not given a file");
    assert_eq!(warning.level, Level::WARN);
    assert!(
        Path::new(warning.field("root")).starts_with(one_root.path().canonicalize().unwrap()),
        "{warning:?}"
    );
    assert!(warning.field("bytes").parse::<u64>().unwrap() >= 800, "{warning:?}");
    assert!(warning.field("error").contains("0755"), "{warning:?}");
    let made = one(&events, "made a temp file");
    assert!(
        Path::new(made.field("path")).starts_with(other_root.path().canonicalize().unwrap()),
        "{made:?}"
    );
}

#[test]
fn events_of_a_sweep_report_removals_and_obstacles() {
    // The environment chooses the directory, so the test starts itself again in a new process.
    const SWEEPER: &str = "NDFERRY_TEST_SWEEPER";
    let name = "events_of_a_sweep_report_removals_and_obstacles";
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
    // Two dead sessions: one with a file of the store, the other with a foreign file.
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
    let events = Listener::during(|| {
        drop(ndferry::store::cleanup(&ndferry::store::CleanupOptions::new()).unwrap())
    });
    let place = place.to_str().unwrap();
    let about =
        |event: &&RecordedEvent| event.fields.iter().any(|(_, value)| value.contains(place));
    let events: Vec<_> = events.iter().filter(about).cloned().collect();
    let (removed, obstacle) = (
        one(&events, "removed what a dead session left"),
        one(&events, "a sweep has met an obstacle"),
    );
    assert_eq!((removed.level, obstacle.level), (Level::INFO, Level::WARN));
    assert!(removed.field("home").ends_with(dead), "{removed:?}");
    assert_eq!((removed.field("files"), removed.field("bytes")), ("1", "10"));
    assert!(obstacle.field("error").contains(&format!("data-{odd}")), "{obstacle:?}");
}
