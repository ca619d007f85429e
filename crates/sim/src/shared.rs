//! A world that several tasks, or several processes, use at once.

#[cfg(any(test, feature = "testing"))]
mod testing;

use crate::{Config, EndpointUrls, SimError, World};
use bytes::Bytes;
use http::Request;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;

/// Where the time comes from: milliseconds since the Unix epoch.
pub type NowMs = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A handle on a world in memory or in a file; cheap to clone.
#[derive(Clone)]
pub struct SharedWorld {
    world: Arc<Mutex<World>>,
    now: NowMs,
    file: Option<Arc<StateFile>>,
    on_the_way: Arc<Mutex<OnTheWay>>,
    changes: watch::Sender<()>,
}

/// Poll interval for a world in a file, which another process can change without
/// a signal.
const FILE_POLL: Duration = Duration::from_millis(100);

/// Requests that have left their client and not arrived yet, in the order in
/// which they left.
#[derive(Default)]
struct OnTheWay {
    departed: u64,
    requests: BTreeMap<u64, Request<Bytes>>,
}

/// A world kept in a file. Beside it lies a lock file that also holds the
/// revision of the state: who holds the lock sees whether to reload.
struct StateFile {
    path: PathBuf,
    lock_path: PathBuf,
    /// The revision that memory holds.
    seen: Mutex<u64>,
    /// Where the clients of this process are told to go, whatever another
    /// process on the same file tells its own.
    endpoints: Option<EndpointUrls>,
}

impl std::fmt::Debug for SharedWorld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedWorld")
            .field("file", &self.file.as_ref().map(|file| &file.path))
            .finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in another holder leaves a world that is still the best known.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl SharedWorld {
    /// A world in memory.
    pub fn in_memory(world: World, now: NowMs) -> Self {
        let (changes, _) = watch::channel(());
        Self { world: Arc::new(Mutex::new(world)), now, file: None, on_the_way: Arc::default(), changes }
    }

    /// A world in the file `path`, made from `config` when it does not exist
    /// yet. Afterwards the file's own settings hold, except that endpoints,
    /// faults and the latency scale always come from `config`.
    pub fn in_file(path: &Path, config: Config, now: NowMs) -> Result<Self, SimError> {
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let file = StateFile {
            path: path.to_owned(),
            lock_path: lock_path.into(),
            seen: Mutex::new(0),
            endpoints: config.endpoints.clone(),
        };
        let shared = Self { file: Some(Arc::new(file)), ..Self::in_memory(World::new(config.clone()), now) };
        shared.with(|world| {
            world.adopt(config);
        })?;
        Ok(shared)
    }

    /// The current time of the injected clock.
    pub fn now_ms(&self) -> i64 {
        (self.now)()
    }

    /// A signal after each change of the world by this process.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// How long to wait at most for what is due at a time.
    pub(crate) fn wait_max(&self, due_ms: i64) -> Duration {
        let left = u64::try_from(due_ms.saturating_sub(self.now_ms())).unwrap_or(0).max(1);
        let left = Duration::from_millis(left);
        if self.file.is_some() { left.min(FILE_POLL) } else { left }
    }

    /// Takes a request on its way.
    pub(crate) fn depart(&self, request: Request<Bytes>) -> u64 {
        let mut on_the_way = locked(&self.on_the_way);
        on_the_way.departed += 1;
        let ticket = on_the_way.departed;
        on_the_way.requests.insert(ticket, request);
        ticket
    }

    /// Takes a request off its way; none if that was done before.
    pub(crate) fn arrive(&self, ticket: u64) -> Option<Request<Bytes>> {
        locked(&self.on_the_way).requests.remove(&ticket)
    }

    /// Runs `work` on the world, advanced to the present, alone.
    pub fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> Result<T, SimError> {
        let mut world = locked(&self.world);
        let Some(file) = &self.file else {
            world.advance(self.now_ms());
            let result = work(&mut world);
            if world.take_dirty() {
                self.changes.send_replace(());
            }
            return Ok(result);
        };
        let mut lock = file.acquire()?;
        file.reload(&mut lock, &mut world)?;
        world.advance(self.now_ms());
        let result = work(&mut world);
        if world.take_dirty() {
            file.save(&mut lock, &world)?;
            self.changes.send_replace(());
        }
        Ok(result)
    }
}

/// A new file that only this user can read: it holds the secrets of keys.
fn private(path: &Path) -> std::io::Result<File> {
    // One that a killed process left behind keeps the mode that it had.
    if let Err(why) = std::fs::remove_file(path)
        && why.kind() != std::io::ErrorKind::NotFound
    {
        return Err(why);
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

impl StateFile {
    fn trouble(&self, source: std::io::Error) -> SimError {
        SimError::State { path: self.path.clone(), source }
    }

    /// Opens the lock file and waits for the exclusive lock; it is given back
    /// when the file is dropped.
    fn acquire(&self) -> Result<File, SimError> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.lock_path)
            .map_err(|why| self.trouble(why))?;
        file.lock().map_err(|why| self.trouble(why))?;
        Ok(file)
    }

    fn reload(&self, lock: &mut File, world: &mut World) -> Result<(), SimError> {
        let mut text = String::new();
        lock.read_to_string(&mut text).map_err(|why| self.trouble(why))?;
        let revision: u64 = text.trim().parse().unwrap_or(0);
        let mut seen = locked(&self.seen);
        if revision != 0 && revision == *seen {
            return Ok(());
        }
        match std::fs::read(&self.path) {
            Ok(bytes) => {
                *world = serde_json::from_slice(&bytes)
                    .map_err(|source| SimError::Format { path: self.path.clone(), source })?;
                world.set_endpoints(self.endpoints.clone());
                *seen = revision;
                Ok(())
            }
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                world.touch();
                Ok(())
            }
            Err(why) => Err(self.trouble(why)),
        }
    }

    /// The revision goes first: a crash in between makes others reload the
    /// old state, never overlook a new one.
    fn save(&self, lock: &mut File, world: &World) -> Result<(), SimError> {
        let bytes = serde_json::to_vec(world)
            .map_err(|source| SimError::Format { path: self.path.clone(), source })?;
        let mut temporary = self.path.as_os_str().to_owned();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        let mut seen = locked(&self.seen);
        let revision = *seen + 1;
        let mut write = || -> std::io::Result<()> {
            private(&temporary)?.write_all(&bytes)?;
            lock.seek(SeekFrom::Start(0))?;
            lock.write_all(format!("{revision:020}").as_bytes())?;
            std::fs::rename(&temporary, &self.path)
        };
        write().map_err(|why| self.trouble(why))?;
        *seen = revision;
        Ok(())
    }
}
