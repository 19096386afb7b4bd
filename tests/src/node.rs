//! One member's node as a real process, and the `hashpact` command against it.

use crate::consortium::{Programs, path};
use anyhow::{Context as _, Result, bail, ensure};
use hashpact_client::Client;
use hashpact_protocol::api;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// How long anything may take before a wait gives up. Generous: a loaded machine is no failure.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// How long a command may run; imports of long lists take the longest.
const COMMAND_DEADLINE: Duration = Duration::from_secs(1_800);
/// How long an operator's command may run, a node that must not start included.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(60);

/// One member's node.
pub struct Node {
    /// Member id.
    pub member: String,
    /// Its folder.
    pub dir: PathBuf,
    /// Port of its API.
    pub http_port: u16,
    /// Port of its peer connections, over TCP and QUIC.
    pub peer_port: u16,
    /// Variables that the daemon's program gets beside those of the test.
    pub environment: Vec<(String, String)>,
    programs: Programs,
    child: Option<Child>,
    token: Option<String>,
}

/// What a command printed and how it ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
}

impl Outcome {
    /// Standard output as JSON values, one a line.
    ///
    /// # Errors
    /// A line is not JSON.
    pub fn json_lines(&self) -> Result<Vec<serde_json::Value>> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}")))
            .collect()
    }
}

impl Node {
    /// Writes the configuration of member number `position` of several; its peers are the others.
    pub(crate) fn prepare(
        programs: &Programs,
        dir: &Path,
        member: &str,
        position: usize,
        p2p: &[u16],
    ) -> Result<Self> {
        let dir = dir.join(member);
        std::fs::create_dir(&dir)?;
        let http_port = free_port()?;
        let own = p2p.get(position).context("a port per member")?;
        let mut peers = String::new();
        for (other, port) in p2p.iter().enumerate() {
            if other != position {
                // Half over QUIC, half over TCP, so that both are used for real.
                let transport = if (other + position).is_multiple_of(2) {
                    format!("tcp/{port}")
                } else {
                    format!("udp/{port}/quic-v1")
                };
                write!(peers, "\"/ip4/127.0.0.1/{transport}\", ")?;
            }
        }
        let config = format!(
            "member = \"{member}\"\ndata_dir = \"data\"\n\n[network]\n\
             listen = [\"/ip4/127.0.0.1/tcp/{own}\", \"/ip4/127.0.0.1/udp/{own}/quic-v1\"]\n\
             peers = [{peers}]\n\n[http]\nlisten = \"127.0.0.1:{http_port}\"\npublic_logs = true\n"
        );
        std::fs::write(dir.join("hashpact.toml"), config)?;
        Ok(Self {
            member: member.to_owned(),
            dir,
            http_port,
            peer_port: *own,
            environment: Vec::new(),
            programs: programs.clone(),
            child: None,
            token: None,
        })
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join("hashpact.toml")
    }

    /// Base address of the API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// A token with every scope.
    ///
    /// # Errors
    /// None was created yet.
    pub fn token(&self) -> Result<&str> {
        self.token.as_deref().context("no token yet")
    }

    /// A typed client of this node.
    ///
    /// # Errors
    /// No token was created yet.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::new(&self.url(), Some(self.token()?))?)
    }

    /// Runs an operator's command on this node; fails unless it exits with 0.
    ///
    /// # Errors
    /// The command's own words.
    pub fn command(&self, arguments: &[&str]) -> Result<String> {
        run(self.node_command().args(arguments))
    }

    /// Runs an operator's command and tells how it ended.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn try_command(&self, arguments: &[&str]) -> Result<Outcome> {
        outcome(self.node_command().args(arguments), REFUSAL_DEADLINE)
    }

    /// The daemon's program with this node's configuration and variables.
    fn node_command(&self) -> Command {
        let mut command = Command::new(&self.programs.node);
        command.arg("--config").arg(self.config());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Makes tokens anew, after the loss of the data folder.
    ///
    /// # Errors
    /// The command's own words.
    pub fn renew_tokens(&mut self) -> Result<()> {
        std::fs::remove_file(self.dir.join("token"))?;
        self.create_tokens()
    }

    pub(crate) fn create_tokens(&mut self) -> Result<()> {
        let file = self.dir.join("token");
        let scopes = ["--scope", "lookup", "--scope", "contribute", "--scope", "audit", "--scope", "admin"];
        let mut arguments = vec!["token", "create", "--name", "everything", "--out", path(&file)?];
        arguments.extend(scopes);
        self.command(&arguments)?;
        self.token = Some(std::fs::read_to_string(&file)?.trim().to_owned());
        Ok(())
    }

    /// Runs the `hashpact` command against this node.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn hashpact(&self, arguments: &[&str]) -> Result<Outcome> {
        let mut command = Command::new(&self.programs.client);
        command
            .env("HASHPACT_URL", self.url())
            .env("HASHPACT_TOKEN_FILE", self.dir.join("token"))
            .current_dir(&self.dir)
            .args(arguments);
        outcome(&mut command, COMMAND_DEADLINE)
    }

    /// Runs the `hashpact` command and fails unless it exits with 0.
    ///
    /// # Errors
    /// The command's own words.
    pub fn hashpact_ok(&self, arguments: &[&str]) -> Result<Outcome> {
        let done = self.hashpact(arguments)?;
        ensure!(
            done.code == Some(0),
            "hashpact {} at {} ended with {:?}\n{}{}",
            arguments.join(" "),
            self.member,
            done.code,
            done.stdout,
            done.stderr
        );
        Ok(done)
    }

    /// Starts the process; its log goes to `node.log` in its folder.
    ///
    /// # Errors
    /// It runs already, or cannot be started.
    pub fn start(&mut self) -> Result<()> {
        self.start_with(&[])
    }

    /// Starts the process with more arguments for `run`.
    ///
    /// # Errors
    /// It runs already, or cannot be started.
    pub fn start_with(&mut self, arguments: &[&str]) -> Result<()> {
        ensure!(self.child.is_none(), "{} runs already", self.member);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir.join("node.log"))?;
        let child = self
            .node_command()
            .arg("run")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.programs.node.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Kills the process as a power cut would: SIGKILL.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks the process to stop and waits for it.
    ///
    /// # Errors
    /// It does not end in time, or with another code than 0.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        run(Command::new("kill").args(["-TERM", &child.id().to_string()]))?;
        let until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "{} ended with {status}\n{}", self.member, self.last_log());
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill()?;
        bail!("{} did not stop in time\n{}", self.member, self.last_log())
    }

    /// The end of the process's log.
    #[must_use]
    pub fn last_log(&self) -> String {
        let text = std::fs::read_to_string(self.dir.join("node.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(25).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Status of the node.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn status(&self) -> Result<api::StatusResponse> {
        let client = self.client()?;
        Ok(block_on(client.status())?)
    }

    /// Waits until the node serves complete answers and takes entries.
    ///
    /// # Errors
    /// Not in time.
    pub fn wait_until_open(&self) -> Result<()> {
        self.wait_for("complete answers and an open log", |status| status.complete && status.appending)
    }

    /// Waits until the node's status satisfies a condition.
    ///
    /// # Errors
    /// Not in time; tells what was seen last.
    pub fn wait_for(&self, what: &str, condition: impl Fn(&api::StatusResponse) -> bool) -> Result<()> {
        let until = Instant::now() + DEADLINE;
        let mut last = "nothing".to_owned();
        while Instant::now() < until {
            match self.status() {
                Ok(status) if condition(&status) => return Ok(()),
                Ok(status) => last = format!("{status:?}"),
                Err(error) => last = format!("{error:#}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("{}: waited {DEADLINE:?} for {what}; last seen: {last}\n{}", self.member, self.last_log())
    }

    /// Entries of a member's first log that this node holds and shows.
    ///
    /// # Errors
    /// Status cannot be had.
    pub fn held(&self, member: &str) -> Result<u64> {
        let wanted = format!("/{member}/1");
        Ok(self.status()?.logs.iter().find(|log| log.origin.ends_with(&wanted)).map_or(0, |log| log.size))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Runs a future on a small runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime without threads can be built")
        .block_on(future)
}

/// A port of loopback that is free for TCP and UDP, and that no other call in this process gets.
///
/// Below the range from which systems take ports for outgoing connections: a node that is killed and
/// started again must find its port free, whatever connected in between.
///
/// # Errors
/// None can be had.
pub fn free_port() -> Result<u16> {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let offset = std::process::id().wrapping_mul(331);
    for _ in 0..COUNT {
        let number = TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + offset.wrapping_add(number) % COUNT)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok()
            && std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok()
        {
            return Ok(port);
        }
    }
    bail!("no free port on loopback")
}

/// Runs a command and returns its standard output; fails unless it exits with 0.
///
/// # Errors
/// The command's own words.
pub fn run(command: &mut Command) -> Result<String> {
    let done = outcome(command, COMMAND_DEADLINE)?;
    ensure!(done.code == Some(0), "{command:?} ended with {:?}\n{}{}", done.code, done.stdout, done.stderr);
    Ok(done.stdout)
}

fn outcome(command: &mut Command, limit: Duration) -> Result<Outcome> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let pid = child.id().to_string();
    let (done, finished) = std::sync::mpsc::sync_channel::<()>(1);
    let watchdog = std::thread::spawn(move || {
        if finished.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            // Its output so far says what it was doing; the exit code is then missing.
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
        }
    });
    let Output { status, stdout, stderr } = child.wait_with_output()?;
    drop(done);
    watchdog.join().map_err(|_| anyhow::anyhow!("the watchdog of {command:?} panicked"))?;
    Ok(Outcome {
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
        code: status.code(),
    })
}
