//! How quickly the agent answers over NATS, beside a responder that does
//! nothing, and what it holds in memory.
//!
//! `cargo xtask bench agent`
//!
//! The agent, the NATS server, the echo and whoever asks are processes of
//! their own on one machine. `EXOKIT_BIN` is the program, `EXOKIT_NATS_SERVER`
//! the server, `EXOKIT_LEDGER_BENCH` the benchmark that writes long ledgers.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::Client;
use futures_util::StreamExt as _;
use futures_util::stream::{self, TryStreamExt as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

type Failure = Box<dyn Error + Send + Sync>;

/// Exit code when everything was measured and a limit was missed.
const MISSED: u8 = 3;
/// Requests of one kind, one after the other.
const SINGLE: usize = 2_000;
/// Requests that come before what is measured.
const WARM: usize = 200;
/// Changes, one after the other.
const CHANGES: usize = 1_000;
/// Changes that come before what is measured: so many that the write-ahead log
/// has been copied once and is written from its beginning again, as it is in an
/// agent that has run for a while.
const FIRST_CHANGES: usize = 450;
/// Requests at once where as many as possible are made.
const AT_ONCE: usize = 64;
/// How long as many as possible are made.
const FLOOD: Duration = Duration::from_secs(3);
/// How many environments are under way at once.
const RUNNING: usize = 1_000;
/// How much faster the cloud of those is than the real one, which is how many
/// times more often the agent may call it.
const SPEED: &str = "20";
/// How long their clusters take in that cloud, in milliseconds: longer than
/// anybody looks.
const CLUSTER_MS: u64 = 86_400_000;
/// How long they may take until all are under way, and how often it is looked.
const START: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(200);
/// How many environments are at rest in a ledger.
const AT_REST: &str = "10000";
/// How many records a long ledger has.
const RECORDS: &str = "100000";

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["echo", url] => echo(url).await.map(|()| true),
        [] => report().await,
        other => Err(format!("unknown arguments {other:?}; there are none").into()),
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
async fn report() -> Result<bool, Failure> {
    println!(
        "One `exokit serve --cloud sim` beside a real `nats-server` without TLS, and on the same server a\n\
         responder that sends back what it gets (*echo*). Each row: {SINGLE} requests one after the other, then as\n\
         many as possible for {} s with {AT_ONCE} at once. `infra.plan` reads what the cloud offers each time, from a\n\
         cloud in the same process that keeps its state in a file. `infra.provision` takes a plan that it made before\n\
         and is answered when that is durable: {CHANGES} of T4, each of which waits for approval. *echo of it*: the same\n\
         message to the echo; *fsync*: as many bytes, appended and synced on the same disk. The three take turns, and\n\
         before each of them a plan is made, so that all find processor and disk as idle.\n",
        FLOOD.as_secs()
    );
    let folder = tempfile::tempdir()?;
    let nats = Nats::start(folder.path())?;
    let mut missed = Vec::new();
    answers(&nats, folder.path(), &mut missed).await?;
    memory(&nats, folder.path()).await?;
    start(folder.path(), &mut missed)?;
    match missed.is_empty() {
        true => println!("\nAll limits are kept."),
        false => println!("\nMissed: {}.", missed.join("; ")),
    }
    Ok(missed.is_empty())
}

/// How quickly requests are answered.
async fn answers(nats: &Nats, folder: &Path, missed: &mut Vec<String>) -> Result<(), Failure> {
    let _echo = Running(Command::new(std::env::current_exe()?).args(["echo", &nats.url]).spawn()?);
    let agent = Agent::start(&folder.join("answers"), Some(&nats.url))?;
    let client = async_nats::connect(&nats.url).await?;
    let select = json!({"schema_version": 1, "database": "pg", "block_storage_gib": 10});
    let plan =
        json!({"schema_version": 1, "requester": "dana", "provision": {"template": "T4", "name": "planned"}});
    let until = now() + Duration::from_secs(30);
    while client.request("bench.echo", "".into()).await.is_err() && now() < until {}

    println!("| | p50 ms | p99 ms | requests per second |\n|---|---|---|---|");
    let echo = row(&client, "bench.echo", &select).await?;
    let select = row(&client, "infra.select", &select).await?;
    row(&client, "infra.plan", &plan).await?;
    let Changes { change, echo: same, fsync } = changes(&client, folder).await?;
    for (name, row) in [("infra.provision", &change), ("echo of it", &same), ("fsync", &fsync)] {
        println!("| {name} | {:.3} | {:.3} | |", row.p50, row.p99);
    }
    println!(
        "\n`infra.select` takes {:.3} ms more than echo at p50 (limit 0.2) and {:.2} of its throughput (limit \
         0.25);\n`infra.provision` {:.2} of its echo and three fsyncs at p99 (limit 1.00), {:.2} at p50.",
        select.0.p50 - echo.0.p50,
        select.1 / echo.1,
        change.p99 / (same.p99 + 3.0 * fsync.p99),
        change.p50 / (same.p50 + 3.0 * fsync.p50),
    );
    let limits = [
        (select.0.p50 - echo.0.p50 > 0.2, "select is more than 0.2 ms behind echo"),
        (select.1 < echo.1 / 4.0, "select has less than a quarter of echo's throughput"),
        (change.p99 > same.p99 + 3.0 * fsync.p99, "provision takes longer than its echo and three fsyncs"),
    ];
    missed.extend(limits.iter().filter(|(late, _)| *late).map(|(_, what)| (*what).to_owned()));
    drop(agent);
    Ok(())
}

/// What the agent holds in memory.
async fn memory(nats: &Nats, folder: &Path) -> Result<(), Failure> {
    println!("\nWhat the agent holds in memory:\n\n| agent | resident MB |\n|---|---|");
    let idle = Agent::start(&folder.join("idle"), Some(&nats.url))?;
    println!("| idle | {:.1} |", idle.resident()?);
    drop(idle);
    let rest = folder.join("rest");
    write_ledger("park", &rest, AT_REST)?;
    let agent = Agent::start(&rest, Some(&nats.url))?;
    // Many wait at once for their turn at the cloud.
    let patient = async_nats::ConnectOptions::new().request_timeout(Some(START));
    let client = patient.connect(&nats.url).await?;
    // A list reads from every one of them.
    one(&client, "infra.status.list", &json!({"schema_version": 1})).await?;
    println!("| {AT_REST} environments registered | {:.1} |", agent.resident()?);
    drop(agent);
    let cloud = Cloud::start(folder)?;
    let busy = folder.join("busy");
    let agent = Agent::with_room(&busy, &nats.url, &cloud)?;
    let asked = stream::iter(0..RUNNING).map(|number| {
        let ask = json!({"template": "T1", "name": format!("running-{number}")});
        let body = json!({"schema_version": 1, "requester": "dana", "ask": ask});
        let client = client.clone();
        async move { one(&client, "infra.provision", &body).await }
    });
    asked.buffer_unordered(AT_ONCE).try_for_each(|_| std::future::ready(Ok(()))).await?;
    agent
        .wait_for(|line| line.starts_with("infra_registry_clusters{") && line.contains("\"provisioning\""))
        .await?;
    drop(agent);
    // What making the plans took is gone with that process; this one takes them all up.
    let agent = Agent::serve(cloud.exokit(&busy, SPEED)?, Some(&nats.url))?;
    agent.wait_for(|line| line.starts_with("infra_cloud_calls_total{operation=\"get-operation\"")).await?;
    println!("| {RUNNING} environments of T1 under way | {:.1} |", agent.resident()?);
    Ok(())
}

/// How long it takes to be ready with a long ledger.
fn start(folder: &Path, missed: &mut Vec<String>) -> Result<(), Failure> {
    let long = folder.join("long");
    write_ledger("write", &long, RECORDS)?;
    let began = now();
    let agent = Agent::start(&long, None)?;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "\nWith a ledger of {RECORDS} records it says that it is ready after {seconds:.2} s (limit 1 s)."
    );
    if seconds > 1.0 {
        missed.push("a start with a long ledger takes more than 1 s".to_owned());
    }
    drop(agent);
    Ok(())
}

/// Sends back what it gets.
async fn echo(url: &str) -> Result<(), Failure> {
    let client = async_nats::connect(url).await?;
    let mut requests = client.subscribe("bench.echo").await?;
    while let Some(request) = requests.next().await {
        if let Some(reply) = request.reply {
            client.publish(reply, request.payload).await?;
        }
    }
    Ok(())
}

/// Measures one subject and prints its row.
async fn row(client: &Client, subject: &'static str, body: &Value) -> Result<(Quantiles, f64), Failure> {
    let mut times = Vec::new();
    for number in 0..WARM + SINGLE {
        let took = one(client, subject, body).await?;
        if number >= WARM {
            times.push(took);
        }
    }
    let single = Quantiles::of(times);
    let (began, end) = (now(), now() + FLOOD);
    let answered = stream::repeat(())
        .take_while(|()| std::future::ready(now() < end))
        .map(|()| one(client, subject, body))
        .buffer_unordered(AT_ONCE)
        .try_fold(0_u32, |count, _| std::future::ready(Ok(count + 1)))
        .await?;
    let rate = f64::from(answered) / began.elapsed().as_secs_f64();
    println!(
        "| {} | {:.3} | {:.3} | {rate:.0} |",
        subject.trim_start_matches("bench."),
        single.p50,
        single.p99
    );
    Ok((single, rate))
}

/// Makes one request, and says how many milliseconds it took.
async fn one(client: &Client, subject: &'static str, body: &Value) -> Result<f64, Failure> {
    let payload = serde_json::to_vec(body)?;
    let began = now();
    let reply = client.request(subject, payload.into()).await?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    // An echo has no result, and none is looked for in it. That nothing else is
    // read of it keeps whoever asks from being what is measured.
    let reply: Reply<'_> = serde_json::from_slice(&reply.payload)?;
    match reply.error {
        Some(error) => Err(format!("{subject} was refused: {error}").into()),
        None => Ok(took),
    }
}

/// What matters of a reply.
#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

async fn call(client: &Client, subject: &'static str, body: &Value) -> Result<Value, Failure> {
    let reply = client.request(subject, serde_json::to_vec(body)?.into()).await?;
    Ok(serde_json::from_slice(&reply.payload)?)
}

/// How long changes take that are answered when they are durable.
struct Changes {
    change: Quantiles,
    /// The same messages, sent back.
    echo: Quantiles,
    /// As many bytes on the same disk.
    fsync: Quantiles,
}

/// Makes changes, one after the other, and after each the same on the bus and
/// on the disk alone.
async fn changes(client: &Client, folder: &Path) -> Result<Changes, Failure> {
    let mut file = File::create(folder.join("fsync"))?;
    let (mut changes, mut echoes, mut fsyncs) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..FIRST_CHANGES {
        one(client, "infra.provision", &sealed(client, &format!("first-{number}")).await?).await?;
    }
    for number in 0..CHANGES {
        let body = sealed(client, &format!("change-{number}")).await?;
        changes.push(one(client, "infra.provision", &body).await?);
        sealed(client, "other").await?;
        echoes.push(one(client, "bench.echo", &body).await?);
        sealed(client, "other").await?;
        let bytes = serde_json::to_vec(&body)?;
        let began = now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        fsyncs.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let [change, echo, fsync] = [changes, echoes, fsyncs].map(Quantiles::of);
    Ok(Changes { change, echo, fsync })
}

/// Has a plan made, and returns the request to carry it out.
async fn sealed(client: &Client, name: &str) -> Result<Value, Failure> {
    let wanted = json!({"template": "T4", "name": name});
    let ask = json!({"schema_version": 1, "requester": "dana", "provision": wanted});
    let made = call(client, "infra.plan", &ask).await?;
    let sealed = json!({"plan": made["result"]["plan"], "seal": made["result"]["seal"]});
    Ok(json!({"schema_version": 1, "requester": "dana", "sealed": sealed}))
}

/// Milliseconds.
struct Quantiles {
    p50: f64,
    p99: f64,
}

impl Quantiles {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or(f64::NAN);
        Self { p50: at(50), p99: at(99) }
    }
}

/// A process that ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A NATS server on a free port.
struct Nats {
    url: String,
    _process: Running,
}

impl Nats {
    fn start(folder: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(variable("EXOKIT_NATS_SERVER")?);
        command.args(["-a", "127.0.0.1", "-p", "-1", "-js", "-sd"]).arg(folder.join("js"));
        command.arg("--ports_file_dir").arg(folder).args(["-l", "/dev/null"]);
        let process = Running(command.spawn()?);
        let ports = folder.join(format!("nats-server_{}.ports", process.0.id()));
        let until = now() + Duration::from_secs(30);
        loop {
            let ports =
                std::fs::read(&ports).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
            if let Some(url) = ports.as_ref().and_then(|ports| ports["nats"][0].as_str()) {
                return Ok(Self { url: url.to_owned(), _process: process });
            }
            if now() > until {
                return Err("nats-server did not say its port within 30 s".into());
            }
            std::thread::yield_now();
        }
    }
}

/// An agent of its own state directory.
struct Agent {
    process: Running,
    /// Host and port of its HTTP door.
    address: String,
}

impl Agent {
    fn start(state: &Path, nats: Option<&str>) -> Result<Self, Failure> {
        Self::serve(exokit(state)?, nats)
    }

    fn serve(mut command: Command, nats: Option<&str>) -> Result<Self, Failure> {
        command.args(["serve", "--listen", "127.0.0.1:0", "--rate", "1000000"]);
        command.args(nats.into_iter().flat_map(|url| ["--nats", url]));
        let (process, said) = started(command)?;
        let url = said["http"].as_str().ok_or("the agent did not say where it is")?;
        Ok(Self { process, address: url.trim_start_matches("http://").to_owned() })
    }

    /// One whose policy lets one requester have any number, beside a cloud that
    /// has room for them.
    fn with_room(state: &Path, nats: &str, cloud: &Cloud) -> Result<Self, Failure> {
        let caps = ["policy", "--requester-daily-max", "100000", "--team-daily-max", "100000"];
        for words in [&["init"][..], &caps] {
            let mut command = cloud.exokit(state, "max")?;
            let command = command.arg("approver").args(words);
            let status = command.stdout(Stdio::null()).status()?;
            if !status.success() {
                return Err(format!("exokit approver {words:?}: {status}").into());
            }
        }
        Self::serve(cloud.exokit(state, "max")?, Some(nats))
    }

    /// Waits until the values of some of its metrics come to as many as are
    /// under way.
    async fn wait_for(&self, counts: impl Fn(&str) -> bool) -> Result<(), Failure> {
        let until = now() + START;
        loop {
            let text = self.metrics()?;
            let of_it = text.lines().filter(|line| counts(line));
            let sum: usize = of_it.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum();
            match (sum >= RUNNING, now() > until) {
                (true, _) => return Ok(()),
                (false, true) => return Err(format!("only {sum} of {RUNNING} came about in time").into()),
                (false, false) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    fn metrics(&self) -> Result<String, Failure> {
        let mut connection = TcpStream::connect(&self.address)?;
        write!(connection, "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)?;
        let mut text = String::new();
        connection.read_to_string(&mut text)?;
        Ok(text)
    }

    fn resident(&self) -> Result<f64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        Ok(kilobytes.ok_or("no resident size")? / 1e3)
    }
}

/// A process that says in its first line where it is.
fn started(mut command: Command) -> Result<(Running, Value), Failure> {
    let mut process = Running(command.stdout(Stdio::piped()).spawn()?);
    let stdout = process.0.stdout.take().ok_or("no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let said = serde_json::from_str(&line).map_err(|_| "a process did not say where it is")?;
    Ok((process, said))
}

/// `exokit sim` with quotas that are never used up, and clusters that are never
/// done.
struct Cloud {
    _process: Running,
    variables: Vec<(&'static str, String)>,
}

impl Cloud {
    fn start(folder: &Path) -> Result<Self, Failure> {
        let all = ["instance", "iam-key", "sks-cluster", "security-group", "anti-affinity-group"];
        let room = all.map(|resource| {
            let fault = json!({"kind": "quota", "resource": resource, "limit": 1_000_000});
            json!({"match": {"times": 1}, "fault": fault})
        });
        let slow = json!({"create-sks-cluster": {"low_ms": CLUSTER_MS, "high_ms": CLUSTER_MS}});
        let faults = folder.join("faults.json");
        std::fs::write(&faults, serde_json::to_vec(&json!({"faults": room, "latencies": slow}))?)?;
        let mut command = Command::new(variable("EXOKIT_BIN")?);
        command.args(["sim", "--speed", SPEED, "--faults"]).arg(&faults).stderr(Stdio::null());
        let (process, said) = started(command)?;
        let of = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
        let variables = vec![
            ("EXOKIT_CLOUD", "exoscale".to_owned()),
            ("EXOSCALE_API_KEY", of("api_key")),
            ("EXOSCALE_API_SECRET", of("api_secret")),
            ("EXOSCALE_API_ENDPOINT", of("endpoint").replace("/v2", "/zone/{zone}/v2")),
            ("EXOSCALE_SOS_ENDPOINT", of("sos_endpoint")),
        ];
        Ok(Self { _process: process, variables })
    }

    /// exokit for this cloud, which may call it so many times more often than
    /// the real one.
    fn exokit(&self, state: &Path, speed: &str) -> Result<Command, Failure> {
        let mut command = exokit(state)?;
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("EXOKIT_SIM_SPEED", speed);
        Ok(command)
    }
}

fn exokit(state: &Path) -> Result<Command, Failure> {
    let mut command = Command::new(variable("EXOKIT_BIN")?);
    command.env("EXOKIT_STATE", state).env("EXOKIT_CLOUD", "sim").env("EXOKIT_SIM_SPEED", "max");
    command.env("EXOKIT_PERSON", "dana").env("EXOKIT_PASSPHRASE", "for a benchmark only");
    // Ledgers that were told again have no secret of their own.
    command.env("EXOKIT_ROOT_SECRET", "05".repeat(32));
    // It logs what it logs by default.
    command.env_remove("EXOKIT_LOG").stderr(Stdio::null()).stdin(Stdio::null());
    Ok(command)
}

/// Lets the other benchmark write a ledger; it waits to be killed when it is done.
fn write_ledger(what: &str, folder: &Path, count: &str) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    let mut command = Command::new(variable("EXOKIT_LEDGER_BENCH")?);
    let mut process = Running(
        command.arg(what).arg(folder).arg(count).stdout(Stdio::piped()).stdin(Stdio::null()).spawn()?,
    );
    let stdout = process.0.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(stdout).lines();
    lines.next().ok_or("the ledger was not written")??;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a program of its own, told by xtask where the others are")]
fn variable(name: &str) -> Result<String, Failure> {
    std::env::var(name).map_err(|_| format!("{name} is not set; use `cargo xtask bench agent`").into())
}

/// Real time, which is what is measured.
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn now() -> Instant {
    Instant::now()
}
