//! How a long ledger starts, and what environments at rest cost.
//!
//! `cargo xtask bench ledger [--quick]`
//!
//! Each measurement is made by a process of its own: this program starts
//! itself with another first argument.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use exokit_ledger::{Condition, Environments, Ledger, Operations, SqliteLedger};
use exokit_model::event::{Entry, Event};
use exokit_simtest::bench::figures::slope;
use exokit_simtest::bench::{Failure, MISSED, process};
use exokit_simtest::ledger_generator::{LedgerGenerator, Until};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// How many lives are written by one append while the ledger is filled.
const BATCH: u64 = 20;

/// How many appends the writer makes one by one before it may be killed.
const SINGLE_MIN: usize = 50;

/// How often `exokit list` is started; the median of its times counts.
const LIST_RUNS: usize = 21;

/// The longest that `exokit list` may take beside 1,000 environments.
const LIST_MS_MAX: f64 = 40.0;

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let all_kept = |()| true;
    let done = match words.as_slice() {
        ["write", folder, events] => write(Path::new(folder), events).map(all_kept),
        ["park", folder, count] => park(Path::new(folder), count).map(all_kept),
        ["start", folder] => start(Path::new(folder)).map(all_kept),
        ["--quick"] => report(&[20_000, 100_000], &[1_000, 5_000]),
        [] => report(&[100_000, 1_000_000], &[1_000, 10_000, 100_000]),
        other => Err(format!("unknown arguments {other:?}; there is only --quick").into()),
    };
    match done {
        Ok(true) => std::process::ExitCode::SUCCESS,
        Ok(false) => std::process::ExitCode::from(MISSED),
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// The measurements, as the section of a document. Says whether all limits
/// were kept.
fn report(lengths: &[u64], parked: &[u64]) -> Result<bool, Failure> {
    println!(
        "Lives of T1, T3 and T7 as the engine made them, told again under other names and appended to the\n\
         SQLite ledger in batches, then one by one until the writer is killed with SIGKILL. Four in five\n\
         environments are gone, the others at rest. The files are dropped from the page cache\n\
         (`posix_fadvise`, DONTNEED); *read* is what a start fetched from the disk. *Ready* is the time from\n\
         the start of a process until ledger, roster, unfinished operations and expired environments are known\n\
         and a first record is durable; the first plan of a process also reads the *requests of the day*, here all\n\
         of them.\n"
    );
    let (life, mut late) = long(lengths)?;
    late.extend(at_rest(parked)?);
    println!(
        "\nThe memory of a process does not depend on what is at rest, since the engine keeps nothing of it; what \
         is at\nrest costs disk: {life:.0} kB for a whole life, most of it the two plans with every request body. The \
         two computed\nrows are in the last column of the second table."
    );
    if !late.is_empty() {
        println!("\nMissed: {}.", late.join("; "));
    }
    Ok(late.is_empty())
}

/// The table of long ledgers. Returns the kilobytes of one life in the longest,
/// and what took too long.
fn long(lengths: &[u64]) -> Result<(f64, Vec<String>), Failure> {
    println!(
        "| events | environments | file MB | written in s | open ms | ready ms | read MB | RSS MB \
         | list of those present ms | requests of the day ms | audit s |\n|---|---|---|---|---|---|---|---|---|---|---|"
    );
    let (mut late, mut life) = (Vec::new(), f64::NAN);
    for events in lengths {
        let folder = tempfile::tempdir()?;
        let began = now();
        let written = killed_writer("write", folder.path(), *events)?;
        let seconds = began.elapsed().as_secs_f64();
        let size = size(folder.path())?;
        drop_from_cache(folder.path())?;
        let found = child("start", folder.path())?;
        let head = found["head"].as_u64().unwrap_or_default();
        if head < written {
            return Err(format!("record {written} was acknowledged, the ledger ends at {head}").into());
        }
        let of = |key: &str| number(&found, key);
        println!(
            "| {head} | {} | {size:.0} | {seconds:.0} | {:.0} | {:.0} | {:.1} | {:.0} | {:.0} | {:.0} | {:.1} |",
            found["environments"],
            of("open"),
            of("ready"),
            of("read"),
            of("rss"),
            of("list"),
            of("requests"),
            of("audit"),
        );
        let most = if *events > 100_000 { 3_000.0 } else { 1_000.0 };
        life = size * 1e3 / of("environments");
        if of("ready") > most {
            late.push(format!("{events} events: more than {most} ms"));
        }
    }
    Ok((life, late))
}

/// The table of parked environments, and what each further one costs. Returns
/// what took too long.
fn at_rest(parked: &[u64]) -> Result<Option<String>, Failure> {
    println!("\nParked environments of T1, each waiting for a human, in a process that is ready:\n");
    println!(
        "| parked | file MB | ready ms | RSS MB | row of environment and operation, bytes | `exokit list` ms |\n\
         |---|---|---|---|---|---|"
    );
    let (mut points, mut late) = (Vec::new(), None);
    for count in parked {
        let folder = tempfile::tempdir()?;
        killed_writer("park", folder.path(), *count)?;
        let size = size(folder.path())?;
        drop_from_cache(folder.path())?;
        let found = child("start", folder.path())?;
        let (ready, rss) = (number(&found, "ready"), number(&found, "rss"));
        let list = list_command(folder.path())?;
        println!("| {count} | {size:.0} | {ready:.0} | {rss:.1} | {} | {list:.0} |", found["row"]);
        if *count <= 1_000 && list > LIST_MS_MAX {
            late = Some(format!("`exokit list` beside {count}: more than {LIST_MS_MAX} ms"));
        }
        points.push((*count as f64, rss * 1e6));
    }
    if let (Some(each), Some(first), Some(last)) = (slope(&points), points.first(), points.last()) {
        // Zero has a sign, too, which says nothing.
        let each = each.round() + 0.0;
        println!(
            "\nMemory for each further parked environment: {each} bytes (from {} to {}).",
            first.0, last.0
        );
    }
    Ok(late)
}

/// The median of the milliseconds that `exokit list` takes, from its start to
/// its end.
#[expect(clippy::disallowed_methods, reason = "a benchmark is told where the program is")]
fn list_command(folder: &Path) -> Result<f64, Failure> {
    let program = std::env::var_os("EXOKIT_BIN").ok_or("EXOKIT_BIN does not name the program")?;
    let mut times = Vec::with_capacity(LIST_RUNS);
    for _ in 0..LIST_RUNS {
        let mut list = Command::new(&program);
        // Any key does: nothing in this ledger is sealed.
        list.env("EXOKIT_ROOT_SECRET", "05".repeat(32));
        list.args(["list", "--cloud", "sim", "--state"]).arg(folder);
        let began = now();
        let listed = list.stdin(Stdio::null()).output()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        if !listed.status.success() {
            return Err(String::from_utf8_lossy(&listed.stderr).into());
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times[LIST_RUNS / 2])
}

/// Runs a writer until it has filled the ledger and made some appends one by
/// one, and kills it while it goes on. Returns the last record that it was
/// told to be durable.
fn killed_writer(what: &str, folder: &Path, count: u64) -> Result<u64, Failure> {
    let mut writer = own(&[what, &folder.display().to_string(), &count.to_string()])?;
    let out = writer.stdout.take().ok_or("no output")?;
    let mut last = 0;
    for line in BufReader::new(out).lines().take(SINGLE_MIN) {
        last = line?.parse()?;
    }
    writer.kill()?;
    writer.wait()?;
    match last {
        0 => Err("the writer ended early".into()),
        last => Ok(last),
    }
}

/// Runs this program as another process and reads what it found.
fn child(what: &str, folder: &Path) -> Result<Value, Failure> {
    let output = own(&[what, &folder.display().to_string()])?.wait_with_output()?;
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout)?),
        false => Err(format!("`{what}` failed").into()),
    }
}

fn own(arguments: &[&str]) -> Result<Child, Failure> {
    Ok(Command::new(std::env::current_exe()?).args(arguments).stdout(Stdio::piped()).spawn()?)
}

/// Fills a ledger with so many events, then appends until it is killed.
fn write(folder: &Path, events: &str) -> Result<(), Failure> {
    let events: u64 = events.parse()?;
    let moulds = moulds(&[1, 3, 7])?;
    let five = |ledger_generator: &LedgerGenerator| {
        ledger_generator.length(Until::Gone) * 4 + ledger_generator.length(Until::Ready)
    };
    let five = moulds.iter().map(five).sum::<usize>() / moulds.len();
    let lives = events * 5 / u64::try_from(five)? + 1;
    fill(folder, &moulds, lives, |number| if number * 5 < lives * 4 { Until::Gone } else { Until::Ready })
}

/// Fills a ledger with so many parked environments.
fn park(folder: &Path, count: &str) -> Result<(), Failure> {
    fill(folder, &moulds(&[1])?, count.parse()?, |_| Until::Parked)
}

fn fill(
    folder: &Path,
    moulds: &[LedgerGenerator],
    lives: u64,
    until: impl Fn(u64) -> Until,
) -> Result<(), Failure> {
    let life = |number: u64| {
        let ledger_generator = &moulds[usize::try_from(number).unwrap_or_default() % moulds.len()];
        ledger_generator.life(number, until(number))
    };
    runtime()?.block_on(async {
        let ledger = SqliteLedger::open(folder)?;
        for first in (0..lives).step_by(usize::try_from(BATCH)?) {
            let entries: Vec<Entry> = (first..lives.min(first + BATCH)).flat_map(life).collect();
            ledger.append(&Condition::default(), entries).await?;
        }
        let ledger_generator = &moulds[0];
        for number in lives.. {
            for entry in ledger_generator.life(number, Until::Gone) {
                let written = ledger.append(&Condition::default(), vec![entry]).await?;
                println!("{}", written[0].seq);
            }
        }
        Ok(())
    })
}

/// Opens a ledger as an engine does and tells how long it took.
fn start(folder: &Path) -> Result<(), Failure> {
    let began = now();
    runtime()?.block_on(async {
        let read_before = process::read_bytes()?;
        let ledger = SqliteLedger::open(folder)?;
        let open = began.elapsed();
        let at = latest(&ledger).await?;
        let active = ledger.operations(Operations::Active).await?;
        let expired = ledger.environments(Environments::Expired(at)).await?;
        ledger.read(exokit_ledger::Filter::Account, 0).await?;
        let event = Event::DriftObserved { differences: Vec::new() };
        let first = Entry { at, environment: None, operation: None, epoch: 0, event };
        let head = ledger.append(&Condition::default(), vec![first]).await?[0].seq;
        let ready = began.elapsed();
        let (rss, read) =
            (process::resident_bytes()? as f64 / 1e6, process::read_bytes()?.saturating_sub(read_before));
        if active.len() > 1 || !expired.is_empty() {
            return Err(format!("{} active, {} expired", active.len(), expired.len()).into());
        }
        let listing = now();
        let present = ledger.environments(Environments::Present).await?;
        let list = listing.elapsed();
        let row = match present.first() {
            Some(view) => {
                let id = Operations::Named(view.made_by.clone());
                let operation = ledger.operations(id).await?.pop();
                serde_json::to_string(view)?.len() + serde_json::to_string(&operation)?.len()
            }
            None => 0,
        };
        let asking = now();
        ledger.read(exokit_ledger::Filter::Requests(at.to_zoned(TimeZone::UTC).date()), 0).await?;
        let requests = asking.elapsed();
        let auditing = now();
        let audit = ledger.audit(None).await?;
        if !audit.differing.is_empty() {
            return Err("the rows do not agree with the records".into());
        }
        let found = json!({
            "head": head, "environments": audit.environments, "row": row,
            "open": open.as_secs_f64() * 1e3, "ready": ready.as_secs_f64() * 1e3,
            "list": list.as_secs_f64() * 1e3, "requests": requests.as_secs_f64() * 1e3, "audit": auditing.elapsed().as_secs_f64(),
            "rss": rss, "read": read as f64 / 1e6,
        });
        println!("{found}");
        Ok(())
    })
}

/// The time of the last record.
async fn latest(ledger: &dyn Ledger) -> Result<Timestamp, Failure> {
    let head = ledger.head().await?.seq;
    let last = ledger.read(exokit_ledger::Filter::All, head.saturating_sub(1)).await?;
    Ok(last.last().map_or(Timestamp::UNIX_EPOCH, |record| record.entry.at))
}

fn moulds(templates: &[u16]) -> Result<Vec<LedgerGenerator>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    let moulds = templates.iter().map(|template| runtime.block_on(LedgerGenerator::of(*template)));
    Ok(moulds.collect::<Result<_, _>>()?)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Writes what is dirty to the disk and lets go of what is cached of it.
fn drop_from_cache(folder: &Path) -> Result<(), Failure> {
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        if file.file_type()?.is_file() {
            let file = std::fs::File::open(file.path())?;
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}

fn size(folder: &Path) -> Result<f64, Failure> {
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes as f64 / 1e6)
}

fn number(found: &Value, key: &str) -> f64 {
    found[key].as_f64().unwrap_or(f64::NAN)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}
