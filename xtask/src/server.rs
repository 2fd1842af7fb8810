//! A reference server of our own: fresh secret, free port if wanted, stopped by its id.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::{Outcome, process, signals, workspace};

const LISTENING: &str = "listening on ws://";
const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// Builds the server and says where it is.
pub(crate) fn build() -> Outcome<PathBuf> {
    process::run(process::cargo().args(["build", "-p", "readywire-server"]))?;
    Ok(binary())
}

/// Where the built server is.
pub(crate) fn binary() -> PathBuf {
    workspace::target().join("debug/readywire-server")
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: String,
    secret: SecretFile,
    _forwarding: signals::Forwarding,
}

impl Server {
    /// Starts it with a fresh secret and waits until it listens. `show` gives each further line it prints.
    pub(crate) fn start(arguments: &[&str], show: fn(&str)) -> Outcome<Server> {
        let secret = SecretFile::create()?;
        let mut command = process::program(binary());
        command.args(arguments).arg("--jwt-secret-file").arg(secret.path()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| process::cannot_start(&command, &error))?;
        let forwarding = signals::forward_to(child.id());
        let output = child.stdout.take().ok_or("the server has no standard output")?;

        let (found, address) = mpsc::channel();
        // Reads to the end: a server that nobody reads from stops at a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                match address_of(&line) {
                    Some(address) => drop(found.send(address.to_owned())),
                    None => show(&line),
                }
            }
        });
        let mut server = Server { child, address: String::new(), secret, _forwarding: forwarding };
        match address.recv_timeout(START_DEADLINE) {
            Ok(address) => server.address = address,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = server.wait()?;
                return Err(format!("the server ended before it listened ({status})"));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return Err(format!("the server did not listen within {} s", START_DEADLINE.as_secs()));
            }
        }
        Ok(server)
    }

    /// Host and port it listens on.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Mints a token that this server accepts.
    pub(crate) fn token(&self, subject: &str, seconds: u32) -> Outcome<String> {
        let mut command: Command = process::program(binary());
        command
            .args(["token", "--subject", subject, "--ttl", &format!("{seconds}s")])
            .env("READYWIRE_JWT_SECRET_FILE", self.secret.path());
        process::read(&mut command)
            .filter(|token| !token.is_empty())
            .ok_or_else(|| format!("`readywire-server token --subject {subject}` failed"))
    }

    /// Waits until it ends by itself or by a signal.
    pub(crate) fn wait(&mut self) -> Outcome<ExitStatus> {
        self.child.wait().map_err(|error| format!("waiting for the server: {error}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            signals::terminate(self.child.id());
            let asked = Instant::now();
            while let Ok(None) = self.child.try_wait() {
                if asked.elapsed() > STOP_DEADLINE {
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// `127.0.0.1:8080` from `listening on ws://127.0.0.1:8080/ws`.
fn address_of(line: &str) -> Option<&str> {
    line.strip_prefix(LISTENING)?.split('/').next()
}

/// A secret that only this user can read, gone when dropped.
#[derive(Debug)]
pub(crate) struct SecretFile {
    path: PathBuf,
}

impl SecretFile {
    pub(crate) fn create() -> Outcome<SecretFile> {
        let secret = random_hex(32)?;
        let name = format!("readywire-secret-{}-{}", std::process::id(), random_hex(8)?);
        let path = std::env::temp_dir().join(name);
        write_private(&path, &secret)?;
        Ok(SecretFile { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Writes a new file that only this user can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Outcome {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Random bytes of the operating system, as hexadecimal digits.
fn random_hex(bytes: usize) -> Outcome<String> {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .map_err(|error| format!("/dev/urandom: {error}"))?;
    Ok(random.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_address_is_read_from_its_line() {
        assert_eq!(address_of("listening on ws://127.0.0.1:41000/ws"), Some("127.0.0.1:41000"));
        assert_eq!(address_of("starting"), None);
    }

    #[test]
    fn secrets_are_private_fresh_and_removed() {
        let (one, other) = (SecretFile::create().unwrap(), SecretFile::create().unwrap());
        let text = std::fs::read_to_string(one.path()).unwrap();
        assert_eq!(text.len(), 64);
        assert_ne!(text, std::fs::read_to_string(other.path()).unwrap());
        assert_eq!(std::fs::metadata(one.path()).unwrap().permissions().mode() & 0o777, 0o600);
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists());
    }
}
